package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a command that runs in the cell on a terminal of its own.
type Terminal struct {
	s      *S
	args   []string
	master *os.File
	cmd    *exec.Cmd
	done   chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Terminal starts a command on a new terminal of this size.
func (s *S) Terminal(rows, columns uint16, args ...string) *Terminal {
	master, slave, err := openTerminal(rows, columns)
	if err != nil {
		s.Fatalf("make a terminal: %v", err)
	}
	defer slave.Close()
	t := &Terminal{s: s, args: args, master: master, cmd: s.Command(args...), done: make(chan struct{})}
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, slave, slave
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := t.cmd.Start(); err != nil {
		s.Fatalf("%v: %v", args, err)
	}
	go t.read()
	s.Cleanup(func() {
		master.Close()
		_ = t.cmd.Process.Kill()
	})
	return t
}

// Shows waits until a terminal has shown a text, not as long as for a
// command: that it never does is how some engines fail.
func (s *S) Shows(t *Terminal, text string) {
	for end := time.Now().Add(Patience / 2); !strings.Contains(t.Output(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("the terminal doesn't show %q, but:\n%s", text, t.Output())
		}
	}
}

func (t *Terminal) read() {
	defer close(t.done)
	buf := make([]byte, 4096)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.out.Write(buf[:n])
		t.mu.Unlock()
		if err != nil {
			return // EIO once nobody has the other end
		}
	}
}

// Output is what has been shown so far.
func (t *Terminal) Output() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.String()
}

// Type writes to the terminal as from a keyboard.
func (t *Terminal) Type(text string) {
	_, _ = t.master.WriteString(text) // a command that's gone shows itself by its output
}

// Resize changes the terminal's size.
func (t *Terminal) Resize(rows, columns uint16) error {
	return unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
}

// timedOut is the exit status of timeout(1) for a command that it had to end.
const timedOut = 124

// Wait waits for the command's end and returns its exit status. A command that
// doesn't end, and one that leaves somebody behind on its terminal, fails the
// scenario with what was shown.
func (t *Terminal) Wait() int {
	_ = t.cmd.Wait()
	status := t.cmd.ProcessState.ExitCode()
	if status == timedOut {
		t.s.Fatalf("it hung for %v on its terminal: %v\nshown is:\n%s", Patience, t.args, t.Output())
	}
	select {
	case <-t.done:
	case <-time.After(Patience / 4):
		t.s.Fatalf("it ended with status %d, but somebody still has its terminal: %v\nshown is:\n%s", status, t.args, t.Output())
	}
	return status
}

func openTerminal(rows, columns uint16) (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "terminal")
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	number := 0
	if err == nil {
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
