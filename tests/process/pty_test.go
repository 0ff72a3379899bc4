package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// terminal is the edit for process.terminal.
func terminal(s *specs.Spec) { s.Process.Terminal = true }

func boxed(height, width uint) *specs.Box { return &specs.Box{Height: height, Width: width} }

// pty is a person's terminal, at which davit is started.
type pty struct {
	t      *testing.T
	master *os.File
	slave  *os.File

	mu    sync.Mutex
	shown bytes.Buffer
}

func openPTY(t *testing.T, rows, columns uint16) *pty {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pty{t: t, master: os.NewFile(uintptr(fd), "ptmx"), slave: slave}
	t.Cleanup(func() { p.master.Close(); p.slave.Close() })
	p.resize(rows, columns)
	return p
}

func (p *pty) resize(rows, columns uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		p.t.Fatal(err)
	}
}

// fill writes to the terminal until it takes no more, which is so until somebody reads.
func (p *pty) fill() {
	p.t.Helper()
	fd, err := unix.Open(p.slave.Name(), unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer unix.Close(fd)
	for err == nil || err == unix.EINTR {
		_, err = unix.Write(fd, make([]byte, 100))
	}
	if err != unix.EAGAIN {
		p.t.Fatal(err)
	}
}

// collect reads what is shown, in the background.
func (p *pty) collect() {
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := p.master.Read(buf)
			p.mu.Lock()
			p.shown.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// shows waits until the text is on the terminal.
func (p *pty) shows(text string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("the terminal shows %q", p.text())
		}
	}()
	harness.Eventually(p.t, fmt.Sprintf("%q on the terminal", text), func() bool { return strings.Contains(p.text(), text) })
}

func (p *pty) types(text string) {
	p.t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pty) mode() unix.Termios {
	p.t.Helper()
	m, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *m
}

func (p *pty) isRaw() bool {
	return p.mode().Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == 0
}

// at starts a davit command at the terminal, leading a session of its own.
func (p *pty) at(s *harness.Sandbox, args ...string) *harness.Cmd {
	p.t.Helper()
	c := s.Command(args...)
	c.Stdin, c.Stdout, c.Stderr = p.slave, p.slave, p.slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	c.Begin()
	return c
}
