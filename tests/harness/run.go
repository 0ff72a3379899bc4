package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Result is how a command ended. What it wrote can be read again later: a
// container that it left running may still be writing there.
type Result struct {
	t    testing.TB
	Args []string
	Code int // exit code; 128 plus the signal if one ended it
	out  *os.File
	err  *os.File
}

// Stdout is what was written to standard output so far.
func (r *Result) Stdout() string { return contents(r.t, r.out) }

// Stderr is what was written to standard error so far.
func (r *Result) Stderr() string { return contents(r.t, r.err) }

// Succeeds fails the test unless the exit code is 0.
func (r *Result) Succeeds() {
	r.t.Helper()
	if r.Code != 0 {
		r.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(r.Args, " "), r.Code, r.Stdout(), r.Stderr())
	}
}

// Fails fails the test unless the exit code is 1 and standard error says all of want.
func (r *Result) Fails(want ...string) { r.t.Helper(); r.FailsWith(1, want...) }

// FailsWith is Fails for another exit code.
func (r *Result) FailsWith(code int, want ...string) {
	r.t.Helper()
	if r.Code != code {
		r.t.Fatalf("%s: exit code %d, want %d\n%s%s", strings.Join(r.Args, " "), r.Code, code, r.Stdout(), r.Stderr())
	}
	text := strings.ReplaceAll(r.Stderr(), `\"`, `"`) // the log quotes messages
	for _, w := range want {
		if !strings.Contains(text, w) {
			r.t.Errorf("%s: the error doesn't say %q:\n%s", strings.Join(r.Args, " "), w, r.Stderr())
		}
	}
}

func contents(t testing.TB, f *os.File) string {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// output makes a file that lives in memory, which a container may go on writing to without anybody reading.
func output(t testing.TB, name string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	// Appending, because standard output and error may be the same file.
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	return f
}

// Cmd is a davit command that is being prepared or runs.
type Cmd struct {
	*exec.Cmd
	t      testing.TB
	out    *os.File
	errs   *os.File
	cancel context.CancelFunc
}

// Command prepares `davit --root ROOT args…`. Output is kept in memory; standard input is empty.
func (s *Sandbox) Command(args ...string) *Cmd {
	s.T.Helper()
	line := append(append([]string{}, s.Prefix...), Binary(s.T), "--root", s.Root)
	line = append(line, s.Flags...)
	return command(s.T, append(line, args...)...)
}

func command(t testing.TB, line ...string) *Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience(Timeout))
	c := &Cmd{Cmd: exec.CommandContext(ctx, line[0], line[1:]...), t: t, out: output(t, "stdout"), errs: output(t, "stderr"), cancel: cancel}
	c.Stdout, c.Stderr = c.out, c.errs
	c.WaitDelay = time.Second
	return c
}

// Command prepares any program of the host, such as davit under another user and without --root.
func Command(t testing.TB, line ...string) *Cmd { t.Helper(); return command(t, line...) }

// Begin starts the command.
func (c *Cmd) Begin() {
	c.t.Helper()
	if err := c.Start(); err != nil {
		c.cancel()
		c.t.Fatal(err)
	}
}

// End waits for the command.
func (c *Cmd) End() *Result {
	c.t.Helper()
	defer c.cancel()
	err := c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("%s: %v", strings.Join(c.Args, " "), err)
	}
	r := &Result{t: c.t, Args: c.Args, out: c.out, err: c.errs, Code: c.ProcessState.ExitCode()}
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		r.Code = 128 + int(ws.Signal())
	}
	return r
}

// Stdin sets what the command reads.
func (c *Cmd) In(text string) *Cmd { c.Stdin = bytes.NewReader([]byte(text)); return c }

// Do starts the command and waits for it.
func (c *Cmd) Do() *Result { c.t.Helper(); c.Begin(); return c.End() }

// Davit runs `davit --root ROOT args…` to its end.
func (s *Sandbox) Davit(args ...string) *Result {
	s.T.Helper()
	return s.Command(args...).Do()
}

// Tool runs a program of the host, which has to succeed, and returns its output.
func Tool(t testing.TB, line ...string) string {
	t.Helper()
	r := command(t, line...).Do()
	r.Succeeds()
	return r.Stdout()
}

// Written waits until standard output has text in it, for commands that go on.
func (c *Cmd) Written(text string) {
	c.t.Helper()
	Eventually(c.t, fmt.Sprintf("%q on standard output (stderr so far: %s)", text, contents(c.t, c.errs)), func() bool {
		return strings.Contains(contents(c.t, c.out), text)
	})
}
