package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const testState = `{"ociVersion":"1.3.0","id":"c","status":"creating","pid":1,"bundle":"/b"}`

// sh is a hook that runs a shell script with the arguments $1 and so on.
func sh(script string, args ...string) specs.Hook {
	return specs.Hook{
		Path: "/bin/sh",
		Args: append([]string{"sh", "-c", script, "sh"}, args...),
		Env:  []string{"PATH=/usr/bin:/bin"},
	}
}

func timeout(h specs.Hook, seconds int) specs.Hook {
	h.Timeout = &seconds
	return h
}

func run(t *testing.T, hooks ...specs.Hook) error {
	t.Helper()
	return Run(t.Context(), hooks, CreateRuntime, []byte(testState), Options{})
}

// failure runs a hook that fails, and returns its error.
func failure(t *testing.T, h specs.Hook) *Error {
	t.Helper()
	var he *Error
	if err := run(t, h); !errors.As(err, &he) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return he
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func pidIn(t *testing.T, path string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits for a process that is not our child to end.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	for range 500 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(b, []byte(") Z ")) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestNone(t *testing.T) {
	if err := run(t); err != nil {
		t.Error(err)
	}
}

func TestOrderAndState(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if err := run(t,
		sh(`sleep 0.05; echo first >>"$1"`, out),
		sh(`cat >>"$1"; echo >>"$1"`, out),
		sh(`echo third >>"$1"; cat >>"$1"`, out),
	); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, out), "first\n"+testState+"\nthird\n"+testState; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestExactly: arguments and environment are the hook's, not one more.
func TestExactly(t *testing.T) {
	t.Setenv("HOOKS_TEST_LEAK", "1")
	for name, c := range map[string]struct {
		hook specs.Hook
		want string
	}{
		"env":       {specs.Hook{Path: "/usr/bin/env", Env: []string{"B=2", "A=1 x", "EMPTY="}}, "B=2\nA=1 x\nEMPTY=\n"},
		"empty env": {specs.Hook{Path: "/usr/bin/env", Env: []string{}}, ""},
		"no env":    {specs.Hook{Path: "/usr/bin/env"}, ""},
		"args":      {specs.Hook{Path: "/bin/cat", Args: []string{"zero", "/proc/self/cmdline"}}, "zero\x00/proc/self/cmdline\x00"},
		"no args":   {specs.Hook{Path: "/usr/bin/pwd"}, mustGetwd(t) + "\n"},
	} {
		var got Result
		if err := Run(t.Context(), []specs.Hook{c.hook}, Prestart, nil, Options{Observe: func(r Result) { got = r }}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if string(got.Output) != c.want {
			t.Errorf("%s: output %q, want %q", name, got.Output, c.want)
		}
	}
	// Without arguments, the first is the path: the shell reports by that name.
	he := failure(t, specs.Hook{Path: "/bin/sh"}) // runs the state as a script
	if !strings.HasPrefix(string(he.Output), "/bin/sh: ") {
		t.Errorf("output %q", he.Output)
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFailures(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		hook specs.Hook
		want string // how the message goes on after the hook's path; %s is the duration
		is   error
	}{
		"status":     {sh("exit 3"), "exit status 3 after ", nil},
		"silent 255": {sh("exit 255"), "exit status 255 after ", nil},
		"signal":     {sh("kill -TERM $$"), "killed by SIGTERM after ", nil},
		"rt signal":  {sh("kill -40 $$"), "killed by signal 40 after ", nil},
		"missing":    {specs.Hook{Path: "/nowhere/hook"}, "cannot be executed: no such file or directory", unix.ENOENT},
		"not exec":   {specs.Hook{Path: plain}, "cannot be executed: permission denied", unix.EACCES},
		"relative":   {specs.Hook{Path: "bin/sh"}, "path must be absolute", nil},
		"no path":    {specs.Hook{}, "path must be absolute", nil},
		"timeout 0":  {timeout(sh("true"), 0), "timeout must be greater than zero, it is 0", nil},
		"timeout -1": {timeout(sh("true"), -1), "timeout must be greater than zero, it is -1", nil},
		"NUL":        {specs.Hook{Path: "/bin/\x00sh"}, "cannot be executed: invalid argument", unix.EINVAL},
	} {
		he := failure(t, c.hook)
		prefix := "hooks.createRuntime[0] (" + c.hook.Path + "): " + c.want
		if !strings.HasPrefix(he.Error(), prefix) || strings.Contains(he.Error(), "output") {
			t.Errorf("%s: message %q, want %q …", name, he, prefix)
		}
		if c.is != nil && !errors.Is(he, c.is) {
			t.Errorf("%s: %v does not unwrap to %v", name, he, c.is)
		}
		if (he.Duration > 0) != strings.Contains(c.want, " after ") {
			t.Errorf("%s: duration %v", name, he.Duration)
		}
	}
}

func TestFirstFailureEnds(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	err := run(t, sh("true"), sh(`echo why >&2; exit 7`), sh(`echo ran >"$1"`, out))
	var he *Error
	if !errors.As(err, &he) || he.Index != 1 || he.Status.ExitStatus() != 7 {
		t.Fatal(err)
	}
	if want := `; output: "why\n"`; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("message %q, want … %q", err, want)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the next hook was run")
	}
}

func TestKeepGoing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var seen []string
	err := Run(t.Context(), []specs.Hook{
		sh("exit 1"), {Path: "/nowhere/hook"}, sh(`echo ran >"$1"`, out), sh("exit 2"),
	}, Poststop, nil, Options{
		KeepGoing: true,
		Observe:   func(r Result) { seen = append(seen, fmt.Sprintf("%s[%d] %v", r.Kind, r.Index, r.Err == nil)) },
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 3 {
		t.Fatalf("errors: %v", err)
	}
	for i, index := range []int{0, 1, 3} {
		if he, ok := joined.Unwrap()[i].(*Error); !ok || he.Index != index {
			t.Errorf("error %d: %v", i, joined.Unwrap()[i])
		}
	}
	if read(t, out) != "ran\n" {
		t.Error("the third hook did not run")
	}
	if got, want := strings.Join(seen, ", "), "poststop[0] false, poststop[1] false, poststop[2] true, poststop[3] false"; got != want {
		t.Errorf("observed %s", got)
	}
}

// TestOutput: the end of both outputs is kept, in order, whatever the hook wrote
// last.
func TestOutput(t *testing.T) {
	he := failure(t, sh(`echo a; echo b >&2; printf '\033[31mc\377\n'; exit 1`))
	if want := "a\nb\n\x1b[31mc\xff\n"; string(he.Output) != want || he.Omitted != 0 {
		t.Errorf("output %q, %d omitted", he.Output, he.Omitted)
	}
	if msg := he.Error(); !strings.HasSuffix(msg, `; output: "a\nb\n\x1b[31mc\xff\n"`) || strings.ContainsAny(msg, "\n\x1b") {
		t.Errorf("message %q", msg)
	}
	for range 20 {
		he = failure(t, sh(`head -c 300000 /dev/zero | tr '\0' x; echo END >&2; exit 1`))
		if len(he.Output) != keepOutput || he.Omitted != 300004-keepOutput || !bytes.HasSuffix(he.Output, []byte("xxxEND\n")) {
			t.Fatalf("%d bytes, %d omitted, the end is %q", len(he.Output), he.Omitted, he.Output[len(he.Output)-10:])
		}
	}
	if want := fmt.Sprintf("; output: (%d bytes, then) \"xxx", he.Omitted); !strings.Contains(he.Error(), want) {
		t.Errorf("message %.200q lacks %q", he, want)
	}
}

func TestTimeout(t *testing.T) {
	out := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	he := failure(t, timeout(sh(`sleep 1000 & echo $! >"$1"; echo waiting; wait`, out), 1))
	if d := time.Since(start); d < time.Second || d > 8*time.Second {
		t.Errorf("took %v", d)
	}
	if !errors.Is(he, ErrTimeout) || he.Status.Signal() != unix.SIGKILL || string(he.Output) != "waiting\n" {
		t.Errorf("%v, status %#x", he, he.Status)
	}
	if want := "hooks.createRuntime[0] (/bin/sh): killed after its timeout of 1 s after 1"; !strings.HasPrefix(he.Error(), want) {
		t.Errorf("message %q", he)
	}
	if pid := pidIn(t, out); !gone(t, pid) {
		unix.Kill(pid, unix.SIGKILL)
		t.Error("the hook's child was left")
	}
}

func TestTimeoutNotReached(t *testing.T) {
	if err := run(t, timeout(sh("true"), 100), timeout(sh("true"), 1<<62)); err != nil {
		t.Error(err)
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	out := filepath.Join(t.TempDir(), "out")
	err := Run(ctx, []specs.Hook{sh("sleep 1000"), sh(`>"$1"`, out)}, Poststop, nil, Options{KeepGoing: true})
	var he *Error
	if !errors.As(err, &he) || he.Index != 0 || !errors.Is(err, context.DeadlineExceeded) || he.Status.Signal() != unix.SIGKILL {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a hook was run after the end")
	}
	if err := Run(ctx, []specs.Hook{sh(`>"$1"`, out)}, Poststop, nil, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that is done: %v", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a hook was run with a context that is done")
	}
}

// TestBackground: a hook that leaves a child behind has ended, though the child
// holds its pipes and even writes to them without end.
func TestBackground(t *testing.T) {
	for name, script := range map[string]string{
		"quiet": `sleep 1000 & echo $! >"$1"; echo done; exit 1`,
		"loud":  `yes & echo $! >"$1"; exit 1`,
	} {
		out := filepath.Join(t.TempDir(), "pid")
		start := time.Now()
		he := failure(t, sh(script, out))
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
		if he.Status.ExitStatus() != 1 || name == "quiet" && string(he.Output) != "done\n" {
			t.Errorf("%s: %v", name, he)
		}
		pid := pidIn(t, out)
		if name == "quiet" && unix.Kill(pid, 0) != nil {
			t.Error("the child was killed")
		}
		unix.Kill(pid, unix.SIGKILL)
		if !gone(t, pid) {
			t.Errorf("%s: process %d stays", name, pid)
		}
	}
}

// TestBigState: input larger than a pipe, for a hook that reads all of it, none,
// or some, and for one that leaves it to a child.
func TestBigState(t *testing.T) {
	state := bytes.Repeat([]byte("s"), 1<<20)
	out := filepath.Join(t.TempDir(), "out")
	hooks := []specs.Hook{
		sh(`wc -c >"$1"`, out),
		sh("exec <&-; sleep 0.1"),
		sh("true"),
		sh("head -c 10 >/dev/null"),
		sh(`sleep 1000 <&0 & echo $! >"$1.pid"`, out),
	}
	if err := Run(t.Context(), hooks, Poststart, state, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(read(t, out)); got != "1048576" {
		t.Errorf("the hook read %s bytes", got)
	}
	pid := pidIn(t, out+".pid")
	unix.Kill(pid, unix.SIGKILL)
	gone(t, pid)
}

// TestIsolation: the hook leads a group of its own and has three descriptors.
func TestIsolation(t *testing.T) {
	// What the test itself was given is not ours to judge.
	if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	var out []byte
	err := Run(t.Context(), []specs.Hook{
		sh(`read -r x x x x pgrp x </proc/$$/stat; echo $(($$ - pgrp))`),
		sh(`exec ls /proc/self/fd`), // 3 is the directory's
	}, Prestart, nil, Options{Observe: func(r Result) { out = append(out, r.Output...) }})
	if want := "0\n0\n1\n2\n3\n"; err != nil || string(out) != want {
		t.Errorf("group and descriptors: %q, %v", out, err)
	}
}

type fake struct {
	status unix.WaitStatus
	err    error
}

func (f fake) Wait() (unix.WaitStatus, error) { return f.status, f.err }
func (f fake) Kill() error                    { return nil }

func TestStarter(t *testing.T) {
	lost := errors.New("lost")
	refused := errors.New("refused")
	for _, c := range []struct {
		p    fake
		err  error
		want string
	}{
		{fake{}, nil, ""},
		{fake{status: 5 << 8}, nil, "exit status 5"},
		{fake{err: lost}, nil, "lost"},
		{fake{}, refused, "refused"},
	} {
		var asked specs.Hook
		err := Run(t.Context(), []specs.Hook{{Path: "/in/container", Args: []string{"a"}}}, StartContainer, []byte("state"), Options{
			Start: func(h specs.Hook, stdin, stdout, stderr *os.File) (Process, error) {
				asked = h
				fmt.Fprint(stderr, "from the starter")
				return c.p, c.err
			},
		})
		if asked.Path != "/in/container" {
			t.Errorf("asked to start %+v", asked)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "hooks.startContainer[0] (/in/container): "+c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
		if c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%v does not unwrap to %v", err, c.err)
		}
	}
}

// TestNothingLeft: hooks of all sorts leave no descriptor, goroutine or zombie.
func TestNothingLeft(t *testing.T) {
	fds := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	hooks := []specs.Hook{sh("true"), sh("exit 1"), sh("cat"), {Path: "/nowhere"}, {Path: "relative"}, sh("kill -9 $$")}
	some := func() {
		Run(context.Background(), hooks, Poststop, bytes.Repeat([]byte("x"), 100000), Options{KeepGoing: true})
	}
	some()
	beforeFDs, beforeGo := fds(), runtime.NumGoroutine()
	for range 20 {
		some()
	}
	if n := fds(); n > beforeFDs {
		t.Errorf("%d descriptors, were %d", n, beforeFDs)
	}
	for range 100 {
		if runtime.NumGoroutine() <= beforeGo {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > beforeGo {
		t.Errorf("%d goroutines, were %d", n, beforeGo)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}

func TestRing(t *testing.T) {
	for _, step := range []int{1, 7, 4095, 4096, 4097, 9000} {
		var r ring
		var all []byte
		for i := range 30000 / step {
			p := bytes.Repeat([]byte{byte(i)}, step)
			r.write(p)
			all = append(all, p...)
			got, omitted := r.bytes()
			want := all[max(0, len(all)-keepOutput):]
			if !bytes.Equal(got, want) || omitted != int64(len(all)-len(want)) {
				t.Fatalf("step %d, %d bytes: %d kept, %d omitted", step, len(all), len(got), omitted)
			}
		}
	}
}
