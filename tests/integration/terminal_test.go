package integration

import (
	"crypto/md5"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func terminal(s *specs.Spec) { s.Process.Terminal = true }

func TestTerminalForeground(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.Shell(`tty; stat -c %t /dev/console; stty size; read x; echo "got <$x>"; trap 'echo resized $(stty size); exit 5' WINCH; echo waiting; while :; do sleep 0.01; done`))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	term := c.OnTerminal(30, 100)
	c.Begin()
	term.Expect("30 100")
	term.Type("hello\n")
	term.Expect("got <hello>")
	term.Expect("waiting")
	if err := unix.IoctlSetWinsize(int(term.Master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 31, Col: 101}); err != nil {
		t.Fatal(err)
	}
	term.Expect("resized 31 101")
	if r := c.End(); r.Code != 5 {
		t.Errorf("exit code %d\n%s", r.Code, term.Text())
	}
	text := term.Text()
	if !strings.HasPrefix(text, "/dev/pts/0") && !strings.HasPrefix(text, "/dev/console") {
		t.Errorf("the terminal is called %q", text)
	}
	if !strings.Contains(text, "\r\n88\r\n") { // 0x88: the major number of Unix 98 pseudo-terminals
		t.Errorf("/dev/console is not the terminal:\n%s", text)
	}
}

// Ctrl-C reaches the container as a signal of its own terminal, not davit.
func TestTerminalInterrupt(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.Shell("trap 'echo interrupted; exit 6' INT; echo ready; while :; do sleep 0.01; done"))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	term := c.OnTerminal(24, 80)
	c.Begin()
	term.Expect("ready")
	term.Type("\x03")
	term.Expect("interrupted")
	if r := c.End(); r.Code != 6 {
		t.Errorf("exit code %d\n%s", r.Code, term.Text())
	}
}

// Nothing of a fast writer's output is lost or changed.
func TestTerminalOutputIsComplete(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.Shell("stty raw; seq 1 200000"))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	term := c.OnTerminal(24, 80)
	c.Begin()
	r := c.End()
	r.Succeeds()
	var b strings.Builder
	for i := 1; i <= 200000; i++ {
		fmt.Fprintln(&b, i)
	}
	want := b.String()
	harness.Eventually(t, "all of the output", func() bool { return len(term.Text()) >= len(want) })
	if got := strings.ReplaceAll(term.Text(), "\r", ""); md5.Sum([]byte(got)) != md5.Sum([]byte(want)) {
		t.Errorf("%d bytes came out of %d, and they differ", len(got), len(want))
	}
}

func TestTerminalConsoleSocket(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"create", "run"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, terminal, harness.Shell("tty; stty size; read x; echo got $x; exec sleep 100"))
			s.Spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 111}
			// Short: a socket's path has to fit into 107 bytes.
			socket := filepath.Join(s.Dir, "c")
			accept := harness.ConsoleSocket(t, socket)
			s.WriteConfig()
			if how == "create" {
				s.Create("--console-socket", socket).Succeeds()
			} else {
				s.Davit("run", "-d", "--console-socket", socket, "--bundle", s.Bundle, s.ID).Succeeds()
			}
			term := accept()
			if how == "create" {
				s.Davit("start", s.ID).Succeeds()
			}
			term.Expect("33 111")
			term.Type("over\n")
			term.Expect("got over")
			s.Delete()
		})
	}
}

func TestTerminalUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.UserNamespace(100000, 65536), harness.User(1000, 1000), harness.Shell(`stat -c '%u' $(tty); echo x >$(tty) && echo writes`))
	for _, p := range []string{"", "bin", "etc"} {
		chown(t, s.Path(p), 100000)
	}
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	term := c.OnTerminal(24, 80)
	c.Begin()
	c.End().Succeeds()
	harness.Eventually(t, "output", func() bool { return strings.Contains(term.Text(), "writes") })
	if !strings.HasPrefix(term.Text(), "1000\r\n") {
		t.Errorf("the terminal belongs to %q", term.Text())
	}
}

func TestTerminalErrors(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal)
	socket := filepath.Join(s.Dir, "c")
	s.Create().Fails("cannot allocate tty if davit will detach without setting console socket")
	s.Create("--console-socket", socket).Fails(socket)
	s.WriteConfig()
	s.Davit("run", "--bundle", s.Bundle, "--console-socket", socket, s.ID).Fails("cannot use console socket if davit will not detach or allocate tty")
	s.Davit("run", "--bundle", s.Bundle, s.ID).Fails("terminal") // none of ours
	s.Spec.Process.Terminal = false
	s.Create("--console-socket", socket).Fails("cannot use console socket")
}
