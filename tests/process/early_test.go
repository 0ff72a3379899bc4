package process

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

const showBorrowed = `echo $KIND: $(ulimit -n) $(cat /proc/self/timerslack_ns)`

// What davit borrows from its caller while the Go runtime starts (the limit of
// open files, the timers, GOMAXPROCS) reaches no process that it starts.
func TestBorrowedIsReturned(t *testing.T) {
	t.Parallel()
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	slack, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d %s", files.Cur, strings.TrimSpace(string(slack)))
	for _, caller := range [][]string{{}, {"GOMAXPROCS=3"}, {"LISTEN_FDS=1"}} { // with descriptors to pass on the stage is started later
		s := harness.New(t, harness.Shell("KIND=init; "+showBorrowed+"; sleep 100"), func(spec *specs.Spec) { spec.Process.Rlimits = nil })
		for _, kind := range kinds {
			add(s, kind, script(s, kind, showBorrowed+" >>$LOG"))
		}
		s.WriteFile("/log", "", 0o666)
		s.WriteConfig()
		c := s.Command("run", "--detach", "--bundle", s.Bundle, s.ID)
		c.Env = append(os.Environ(), caller...)
		if len(caller) == 1 && strings.HasPrefix(caller[0], "LISTEN_FDS") {
			c.ExtraFiles = []*os.File{os.Stdin}
		}
		r := c.Do()
		r.Succeeds()
		harness.Eventually(t, "the settings of the process", func() bool { return r.Stdout() == "init: "+want+"\n" })
		e := s.Command("exec", s.ID, "/bin/sh", "-c", "KIND=exec; "+showBorrowed)
		e.Env = c.Env
		r = e.Do()
		r.Succeeds()
		if got := r.Stdout(); got != "exec: "+want+"\n" {
			t.Errorf("exec from %q has %q, want %s", caller, got, want)
		}
		s.Davit("delete", "--force", s.ID).Succeeds()
		log, _ := os.ReadFile(s.Path("log"))
		for _, kind := range kinds {
			if !strings.Contains(string(log), kind+": "+want+"\n") {
				t.Errorf("from %q the %s hook doesn't have %s:\n%s", caller, kind, want, log)
			}
		}
	}
}
