package security

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// A running container exchanges what a process that joins it needs: its working directory, /etc/passwd, its terminal.
func TestRacingExec(t *testing.T) {
	s := sleeper(t)
	o := newOutside(t, s)
	dev, err := os.OpenFile(fmt.Sprintf("/proc/%d/root/dev", s.PID()), os.O_RDONLY, 0)
	must(t, err)
	must(t, unix.Symlinkat(climb+o.dir, int(dev.Fd()), "pts-other"))
	exchanges := swappers(t, s, o, []string{"/job", "/etc"})
	terminals := exchange(t, []entry{{dev, "pts"}})
	socket := filepath.Join(s.Dir, "c")
	harness.ConsoleSocket(t, socket)
	joined := 0
	for round := range raceRounds {
		r := s.Davit("exec", "--cwd", "/job/sub", s.ID, "/bin/sh", "-c", "stat -c 'dev=%d ino=%i' . /etc/. || true")
		for line := range strings.Lines(r.Stdout()) {
			if strings.Contains(o.want, " "+strings.TrimSpace(line)+" ") {
				t.Errorf("round %d: the process is outside, at %s", round, line)
			}
		}
		d := s.Davit("exec", "--detach", "--tty", "--console-socket", socket, s.ID, "/bin/true")
		for _, c := range []*harness.Result{r, d} {
			if c.Code > 1 && c.Code != 255 {
				t.Fatalf("round %d: exec ended with %d: %s", round, c.Code, c.Stderr())
			}
			hasReason(t, "exec", c)
			if c.Code == 0 {
				joined++
			}
		}
		if o.unchanged(fmt.Sprintf("round %d", round)); t.Failed() {
			return
		}
	}
	t.Logf("%d and %d exchanges; %d of %d processes joined", exchanges.Load(), terminals.Load(), joined, 2*raceRounds)
}
