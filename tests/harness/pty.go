package harness

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is the master's side of a pseudo-terminal and what has come out of it.
type Terminal struct {
	Master *os.File
	t      testing.TB
	mu     sync.Mutex
	text   strings.Builder
}

// NewTerminal reads from a master until its other end is closed.
func NewTerminal(t testing.TB, master *os.File) *Terminal {
	term := &Terminal{Master: master, t: t}
	t.Cleanup(func() { master.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term
}

// Text is what came out so far.
func (p *Terminal) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Expect waits for text.
func (p *Terminal) Expect(text string) {
	p.t.Helper()
	Eventually(p.t, fmt.Sprintf("%q on the terminal", text), func() bool { return strings.Contains(p.Text(), text) })
}

// Type writes what a person would type.
func (p *Terminal) Type(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Master, text); err != nil {
		p.t.Fatal(err)
	}
}

// OnTerminal makes a command run on a new terminal, as its controlling one.
func (c *Cmd) OnTerminal(rows, columns uint16) *Terminal {
	c.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		c.t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		c.t.Fatal(err)
	}
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		c.t.Fatal(errno)
	}
	tty := os.NewFile(slave, "tty")
	c.t.Cleanup(func() { tty.Close() })
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	return NewTerminal(c.t, master)
}

// ConsoleSocket listens at a path for one terminal, as engines do.
func ConsoleSocket(t testing.TB, path string) func() *Terminal {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() *Terminal {
		t.Helper()
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		buf, oob := make([]byte, 4096), make([]byte, 64)
		n, on, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil {
			t.Fatal(err)
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:on])
		if err != nil || len(msgs) != 1 {
			t.Fatalf("the console socket got %d control messages, %v", len(msgs), err)
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil || len(fds) != 1 || n == 0 {
			t.Fatalf("the console socket got %d descriptors and the name %q, %v", len(fds), buf[:n], err)
		}
		return NewTerminal(t, os.NewFile(uintptr(fds[0]), string(buf[:n])))
	}
}
