// Package console is the host's side of a container's terminal: it finds the
// caller's terminal, copies between it and the master of the container's pty,
// and hands a master over to a caller that asked for it by a console socket.
//
// The pty itself is made elsewhere, inside the container.
package console

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ErrNotTerminal reports a file that is no terminal.
var ErrNotTerminal = errors.New("not a terminal")

// Console is the caller's terminal.
type Console struct {
	file *os.File
	own  bool // opened here

	mu    sync.Mutex
	saved *unix.Termios // nil unless raw
}

// Current returns the terminal this process was started at: the first of its
// standard streams that is one, else the controlling terminal. If there is none
// at all the error wraps ErrNotTerminal.
func Current() (*Console, error) {
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		c, err := New(f)
		if err == nil || !errors.Is(err, ErrNotTerminal) {
			return c, err
		}
	}
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("process.terminal: standard input, output and error are %w, and there is no controlling terminal either (%w): "+
			"run it in a terminal, detached with a console socket, or with terminal set to false", ErrNotTerminal, err)
	}
	f := os.NewFile(uintptr(fd), "/dev/tty")
	c, err := New(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	c.own = true
	return c, nil
}

// New returns the terminal that f is open on, or an error that wraps
// ErrNotTerminal. The file stays the caller's, open for as long as the Console
// is used.
func New(f *os.File) (*Console, error) {
	if _, err := termios(f); err != nil {
		// A tty that was hung up says EIO; it is none any more.
		if err == unix.ENOTTY || err == unix.EIO || err == unix.EBADF {
			return nil, fmt.Errorf("%s: %w", f.Name(), ErrNotTerminal)
		}
		return nil, fmt.Errorf("%s: read terminal attributes: %w", f.Name(), err)
	}
	return &Console{file: f}, nil
}

// Close restores the terminal, and closes it if Current had opened it.
func (c *Console) Close() error {
	err := c.Restore()
	if c.own {
		c.file.Close()
	}
	return err
}

// SetRaw makes the terminal pass every key on as a byte, unechoed, at once, until
// Restore. What it does to output stays as it was: the container's terminal sends
// bare newlines (ClearONLCR), and it is this one that adds the carriage returns.
//
// In a background job the kernel stops the process here (SIGTTOU) until the job
// is in the foreground.
func (c *Console) SetRaw() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := termios(c.file)
	if err != nil {
		return fmt.Errorf("%s: read terminal attributes: %w", c.file.Name(), err)
	}
	if c.saved == nil {
		saved := *t
		c.saved = &saved
	}
	// cfmakeraw(3), less what it does to c_oflag.
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := setTermios(c.file, t); err != nil {
		return fmt.Errorf("%s: set raw mode: %w", c.file.Name(), err)
	}
	return nil
}

// Restore undoes SetRaw. It may be called by any goroutine, and more than once.
//
// A process in the background leaves the terminal alone: its attributes are by
// then those of the shell, or of the job in the foreground.
func (c *Console) Restore() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saved == nil {
		return nil
	}
	if !c.foreground() {
		c.saved = nil
		return nil
	}
	if err := setTermios(c.file, c.saved); err != nil {
		return fmt.Errorf("%s: restore terminal attributes: %w", c.file.Name(), err)
	}
	c.saved = nil
	return nil
}

// foreground reports whether the terminal lets this process change it. One that
// is not its controlling terminal does.
func (c *Console) foreground() bool {
	pgrp := 0
	err := control(c.file, func(fd int) (err error) {
		pgrp, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return err != nil || pgrp == unix.Getpgrp()
}

// CopySize gives the pty of master the terminal's size. A terminal without one,
// such as a serial line, changes nothing.
func (c *Console) CopySize(master *os.File) error {
	var ws *unix.Winsize
	err := control(c.file, func(fd int) (err error) {
		ws, err = unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: read terminal size: %w", c.file.Name(), err)
	}
	if ws.Row == 0 && ws.Col == 0 {
		return nil
	}
	return setWinsize(master, ws)
}

// SetSize sets the size, in characters, of the pty of which f is the master or
// the slave: process.consoleSize.
func SetSize(f *os.File, size specs.Box) error {
	const most = 1<<16 - 1
	if size.Height > most || size.Width > most {
		return fmt.Errorf("process.consoleSize: %d rows of %d columns: a terminal has at most %d of each", size.Height, size.Width, most)
	}
	return setWinsize(f, &unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)})
}

// ClearONLCR stops the pty of which f is the master or the slave from making CR
// LF of each LF written to it, so that what a container prints arrives as it was
// printed.
func ClearONLCR(f *os.File) error {
	t, err := termios(f)
	if err != nil {
		return fmt.Errorf("%s: read terminal attributes: %w", f.Name(), err)
	}
	t.Oflag &^= unix.ONLCR
	if err := setTermios(f, t); err != nil {
		return fmt.Errorf("%s: clear ONLCR: %w", f.Name(), err)
	}
	return nil
}

func setWinsize(f *os.File, ws *unix.Winsize) error {
	err := control(f, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, ws) })
	if err != nil {
		return fmt.Errorf("%s: set terminal size: %w", f.Name(), err)
	}
	return nil
}

func termios(f *os.File) (t *unix.Termios, err error) {
	err = control(f, func(fd int) (err error) {
		t, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	return t, err
}

func setTermios(f *os.File, t *unix.Termios) error {
	// Not TCSETSW: it waits for output that a stopped terminal never takes.
	return control(f, func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, t) })
}

// control calls f with the descriptor of file, restarting it after signals. It
// does without File.Fd, which may clear O_NONBLOCK for all who share the file.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = raw.Control(func(fd uintptr) {
		for ferr = f(int(fd)); ferr == unix.EINTR; {
			ferr = f(int(fd))
		}
	})
	if err != nil {
		return err
	}
	return ferr
}
