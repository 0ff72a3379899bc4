package console

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestNew(t *testing.T) {
	_, slave := pty(t)
	if _, err := New(slave); err != nil {
		t.Error(err)
	}
	r, _ := pipe(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*os.File{"pipe": r, "null": null} {
		if _, err := New(f); !errors.Is(err, ErrNotTerminal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCurrent: any of the three streams will do, then the controlling terminal.
func TestCurrent(t *testing.T) {
	for name, c := range map[string]struct {
		at   func(*exec.Cmd, *os.File) // connects the process to a terminal
		want string
	}{
		"stdin":   {func(c *exec.Cmd, tty *os.File) { c.Stdin = tty }, "/dev/stdin"},
		"stdout":  {func(c *exec.Cmd, tty *os.File) { c.Stdout = tty }, "/dev/stdout"},
		"stderr":  {func(c *exec.Cmd, tty *os.File) { c.Stderr = tty }, "/dev/stderr"},
		"all":     {func(c *exec.Cmd, tty *os.File) { c.Stdin, c.Stdout, c.Stderr = tty, tty, tty }, "/dev/stdin"},
		"control": {func(c *exec.Cmd, tty *os.File) { c.ExtraFiles = append(c.ExtraFiles, tty) }, "/dev/tty"},
		"none":    {func(*exec.Cmd, *os.File) {}, "none"},
	} {
		_, slave := pty(t)
		r, w := pipe(t)
		cmd := self("current")
		cmd.ExtraFiles = []*os.File{w}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		c.at(cmd, slave)
		if name == "control" {
			cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 4
		}
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.Close()
		if got := read(t, r).until("\n"); got != c.want+"\n" {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
}

func attributes(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	a, err := termios(f)
	if err != nil {
		t.Fatal(err)
	}
	return *a
}

func TestRaw(t *testing.T) {
	_, slave := pty(t)
	c, err := New(slave)
	if err != nil {
		t.Fatal(err)
	}
	before := attributes(t, slave)
	if err := c.Restore(); err != nil || attributes(t, slave) != before {
		t.Errorf("Restore before SetRaw: %v", err)
	}
	for range 2 { // the second SetRaw must not take the first for the original
		if err := c.SetRaw(); err != nil {
			t.Fatal(err)
		}
	}
	raw := attributes(t, slave)
	if raw.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG|unix.IEXTEN) != 0 || raw.Iflag&(unix.ICRNL|unix.IXON) != 0 || raw.Cc[unix.VMIN] != 1 {
		t.Errorf("not raw: %+v", raw)
	}
	if raw.Oflag != before.Oflag {
		t.Errorf("output flags were %x, are %x", before.Oflag, raw.Oflag)
	}
	if err := c.Restore(); err != nil || attributes(t, slave) != before {
		t.Errorf("Restore: %v, %+v, was %+v", err, attributes(t, slave), before)
	}
	// Changes made after Restore are somebody else's.
	if err := ClearONLCR(slave); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil || attributes(t, slave) == before {
		t.Errorf("a second Restore: %v", err)
	}
	if _, err := New(slave); err != nil {
		t.Errorf("Close closed the caller's file: %v", err)
	}
}

func TestSize(t *testing.T) {
	master, slave := pty(t)
	for _, f := range []*os.File{master, slave} {
		for _, size := range []specs.Box{{Height: 24, Width: 80}, {Height: 65535, Width: 1}, {}} {
			if err := SetSize(f, size); err != nil {
				t.Error(err)
			}
			ws, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ)
			if err != nil || uint(ws.Row) != size.Height || uint(ws.Col) != size.Width {
				t.Errorf("set %+v, got %+v, %v", size, ws, err)
			}
		}
		for _, size := range []specs.Box{{Height: 65536, Width: 80}, {Height: 24, Width: 65536}} {
			if err := SetSize(f, size); err == nil || !strings.HasPrefix(err.Error(), "process.consoleSize: ") {
				t.Errorf("%+v: %v", size, err)
			}
		}
	}
	r, _ := pipe(t)
	if err := SetSize(r, specs.Box{}); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("size of a pipe: %v", err)
	}

	// A terminal that has no size leaves another's alone.
	_, noSize := pty(t)
	c, err := New(noSize)
	if err != nil {
		t.Fatal(err)
	}
	if err := SetSize(master, specs.Box{Height: 7, Width: 9}); err != nil {
		t.Fatal(err)
	}
	if err := c.CopySize(master); err != nil {
		t.Error(err)
	}
	if ws, _ := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ); ws.Row != 7 || ws.Col != 9 {
		t.Errorf("size %+v", ws)
	}
}

func TestClearONLCR(t *testing.T) {
	for _, end := range []string{"master", "slave"} {
		master, slave := pty(t)
		f := map[string]*os.File{"master": master, "slave": slave}[end]
		slave.WriteString("a\n")
		if err := ClearONLCR(f); err != nil {
			t.Fatal(err)
		}
		slave.WriteString("b\n")
		if got := read(t, master).until("b\n"); got != "a\r\nb\n" {
			t.Errorf("by the %s: %q", end, got)
		}
	}
	r, _ := pipe(t)
	if err := ClearONLCR(r); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("of a pipe: %v", err)
	}
}

// TestModeKept: nothing here makes a shared file blocking that was not.
func TestModeKept(t *testing.T) {
	master, _ := pty(t)
	fd, err := unix.Dup(int(master.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ClearONLCR(master), SetSize(master, specs.Box{Height: 1, Width: 1})); err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
}
