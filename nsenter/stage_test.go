package nsenter

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExec(t *testing.T) {
	o := run(t, program(exec("/bin/true"))).succeeded(t)
	if len(o.reports) != 0 {
		t.Errorf("reports %v", o.reports)
	}
	if o := run(t, program(shell("echo $$ $0 $#; exit 3"))); o.err != nil || o.status.ExitStatus() != 3 || !strings.HasSuffix(o.out, "/bin/sh 0\n") {
		t.Errorf("error %v, status %#x, output %q", o.err, o.status, o.out)
	}
}

func TestExecInClone(t *testing.T) {
	o := run(t, program(Clone{Cgroup: None}, ReportReady{}, shell("echo $$ $PPID"))).succeeded(t)
	if len(o.reports) != 2 || o.reports[1] != (Ready{}) {
		t.Fatalf("reports %v", o.reports)
	}
	if want := fmt.Sprintf("%d %d\n", o.reports[0].(Cloned).PID, os.Getpid()); o.out != want {
		t.Errorf("pid and parent are %q, want %q", o.out, want)
	}
}

func TestExecSearch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	plain := write("plain", "#!/bin/sh\n", 0o644)
	script := write("script", "#!/no/such/interpreter\n", 0o755)
	junk := write("junk", "junk", 0o755)
	missing, under := dir+"/missing", plain+"/below"
	for _, c := range []struct {
		name  string
		paths []string
		path  string
		errno unix.Errno
		head  string
	}{
		{"nothing there", []string{missing, under}, missing, unix.ENOENT, ""},
		{"not executable", []string{missing, plain}, plain, unix.EACCES, "#!/bin/sh\n"},
		{"no interpreter", []string{missing, script, "/bin/true"}, script, unix.ENOENT, "#!/no/such/interpreter\n"},
		{"no format", []string{junk}, junk, unix.ENOEXEC, "junk"},
		{"a directory", []string{dir}, dir, unix.EACCES, ""},
		{"no path", nil, "", unix.ENOENT, ""},
	} {
		o := run(t, program(Exec{Paths: c.paths, Argv: []string{"x"}}))
		var e *ExecError
		if !errors.As(o.err, &e) || e.Path != c.path || e.Errno != c.errno || string(e.Head) != c.head {
			t.Errorf("%s: %#v", c.name, o.err)
		}
		if o.status.ExitStatus() != 127 {
			t.Errorf("%s: status %#x, want exit with 127", c.name, o.status)
		}
	}
	run(t, program(Exec{Paths: []string{missing, plain, "/bin/true"}, Argv: []string{"true"}})).succeeded(t)
}

func TestFailureNamesTheInstruction(t *testing.T) {
	p := program(NoNewPrivs{}, CloseFrom{First: 3}, Rootfs{Path: "/no/such/directory"}, exec("/bin/true"))
	o := run(t, p)
	e := o.failed(t, "open", unix.ENOENT)
	if !reflect.DeepEqual(e.Instr, p[2]) {
		t.Errorf("it is about %v, want %v", e.Instr, p[2])
	}
	if o.status.ExitStatus() != 1 {
		t.Errorf("status %#x", o.status)
	}
	// The same in the second program.
	p = program(Umask{}, Rlimit{Resource: 99})
	if e := run(t, program(NextPlan{}), p).failed(t, "setrlimit", unix.EINVAL); !reflect.DeepEqual(e.Instr, p[1]) {
		t.Errorf("it is about %v, want %v", e.Instr, p[1])
	}
	run(t, program(NoNewPrivs{})).failed(t, "the plan ends without exec", unix.EINVAL)
}

func TestKernelsOwnMessage(t *testing.T) {
	needRoot(t)
	o := run(t, program(Clone{Flags: unix.CLONE_NEWNS, Cgroup: None}, Rootfs{Path: t.TempDir()},
		Mount{Target: "/x", Type: "tmpfs", Options: []string{"mode=755", "size=bogus"}}))
	e := o.failed(t, "fsconfig", unix.EINVAL)
	if want := "size=bogus: tmpfs: Bad value for 'size'"; e.Detail != want {
		t.Errorf("detail %q, want %q", e.Detail, want)
	}
	if want := "field2: fsconfig (size=bogus: tmpfs: Bad value for 'size'): invalid argument"; e.Error() != want {
		t.Errorf("error %q, want %q", e, want)
	}
}

func TestCallerDies(t *testing.T) {
	needStage(t)
	cmd := osexec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperVar+"=caller")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var pidfds []unix.PollFd
	for lines := bufio.NewScanner(out); len(pidfds) < 2 && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the helper prints %q", lines.Text())
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		pidfds = append(pidfds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if len(pidfds) != 2 {
		t.Fatal("the helper didn't start two stages")
	}
	if n, err := unix.Poll(pidfds, 50); n != 0 || err != nil {
		t.Fatalf("%d stages ended before their caller did (%v)", n, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, "the stages end with their caller", func() bool {
		n, err := unix.Poll(pidfds, 10)
		return err == nil && n == 2
	})
}

func TestTokens(t *testing.T) {
	var seen []Report
	on := func(s *Stage, r Report) bool {
		seen = append(seen, r)
		if w, ok := r.(Waiting); ok {
			if err := s.Release(w.Token); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	p := program(Sync{Token: uint64(TokenHooksRun)}, Wait{Token: uint64(TokenHooksRun)}, Sync{Token: uint64(TokenStart)}, exec("/bin/true"))
	(&call{programs: []Program{p}, on: on}).run(t).succeeded(t)
	if want := []Report{Waiting{TokenHooksRun}, Waiting{TokenStart}}; !reflect.DeepEqual(seen, want) {
		t.Errorf("reports %v, want %v", seen, want)
	}
	run(t, program(Wait{Token: 32}, exec("/bin/true"))).failed(t, "unknown token", unix.EINVAL)
}

func TestByHand(t *testing.T) {
	needStage(t)
	code, err := stageBinary()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stage")
	if err := os.WriteFile(path, code, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"3"}, {"2"}, {"x"}, {"-1"}, {"99999999999"}, {""}, {"3", "4"}} {
		out, err := osexec.Command(path, args...).CombinedOutput()
		var exit *osexec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "not by hand") {
			t.Errorf("stage %q: %v, %q", args, err, out)
		}
	}
}
