package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Programs that can't be executed: exit code 255, the phrases that engines look for, and the reason.
func TestExecFailures(t *testing.T) {
	t.Parallel()
	s := running(t)
	s.WriteFile("/no-shebang", "echo hello\n", 0o755)
	s.WriteFile("/empty", "", 0o755)
	s.WriteFile("/crlf", "#!/bin/sh\r\necho\r\n", 0o755)
	s.WriteFile("/python", "#!/usr/bin/no-such-python\n", 0o755)
	s.WriteFile("/not-executable", "#!/bin/sh\n", 0o644)
	s.WriteFile("/for-root-only", "#!/bin/sh\n", 0o700)
	for _, c := range []struct {
		args  []string
		flags []string
		want  []string
	}{
		{args: []string{"nothing"}, want: []string{`exec: "nothing"`, "executable file not found in $PATH"}},
		{args: []string{"nothing"}, flags: []string{"-e", "PATH="}, want: []string{"nothing", "executable file not found in $PATH"}},
		{args: []string{"/bin/nothing"}, want: []string{"/bin/nothing", "no such file or directory"}},
		{args: []string{"./nothing"}, want: []string{"./nothing", "no such file or directory"}},
		{args: []string{""}, want: []string{"executable file not found in $PATH"}},
		{args: []string{"/etc"}, want: []string{"/etc", "is a directory"}},
		{args: []string{"/etc/passwd/x"}, want: []string{"/etc/passwd/x"}},
		{args: []string{"/not-executable"}, want: []string{"/not-executable", "permission denied"}},
		{args: []string{"/for-root-only"}, flags: []string{"-u", "1000"}, want: []string{"/for-root-only", "permission denied"}},
		{args: []string{"/no-shebang"}, want: []string{"/no-shebang", "exec format error", "#!"}},
		{args: []string{"/empty"}, want: []string{"/empty", "the file is empty"}},
		{args: []string{"/crlf"}, want: []string{"/crlf", "CR LF"}},
		{args: []string{"/python"}, want: []string{"/python", "interpreter /usr/bin/no-such-python"}},
	} {
		r := s.Davit(append(append(append([]string{"exec"}, c.flags...), s.ID), c.args...)...)
		r.FailsWith(255, append(c.want, "exec failed: ")...)
		r = s.Davit(append(append(append([]string{"exec", "-d", "--pid-file", filepath.Join(s.Dir, "pid")}, c.flags...), s.ID), c.args...)...)
		r.FailsWith(255, append(c.want, "exec failed: ")...)
	}
	if kids := childrenOf(t, s.PID()); len(kids) != 0 {
		t.Errorf("something is left in the container: %v", kids)
	}
}

func TestExecStopped(t *testing.T) {
	t.Parallel()
	s := running(t)
	s.Davit("exec", "no-such-container", "/bin/true").FailsWith(255, "container does not exist")
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	begin := time.Now()
	s.Davit(execLine(s, "true")...).FailsWith(255, "exec failed: ", "cannot exec in a stopped container")
	s.Davit(execLine(s, "true", "--ignore-paused")...).FailsWith(255, "cannot exec in a stopped container")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the refusals took %s", took)
	}
}

// A created container can be entered before its process is started.
func TestExecCreated(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "1000"))
	s.Create().Succeeds()
	if out := execute(s, "hostname; echo $$"); out != "davit\n2\n" {
		t.Errorf("the process sees %q", out)
	}
	if st := s.State().Status; st != specs.StateCreated {
		t.Errorf("exec made the status %s", st)
	}
	s.Davit("start", s.ID).Succeeds()
	s.Delete()
}

// The container ends while processes that joined it run: they end with its PID namespace, and davit says so.
func TestExecEndsWithContainer(t *testing.T) {
	t.Parallel()
	s := running(t)
	c := s.Command(execLine(s, "echo ready; exec sleep 1000")...)
	c.Begin()
	c.Written("ready")
	s.Davit("kill", s.ID, "KILL").Succeeds()
	if r := c.End(); r.Code != 137 {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr())
	}
	s.WaitStatus(specs.StateStopped)
}

// Behind /proc/self/exe there is no file of the host, whoever looks when (CVE-2019-5736).
func TestExecOfItself(t *testing.T) {
	t.Parallel()
	s := running(t)
	fi, err := os.Stat(harness.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	s.WriteFile("/reexec", "#!/proc/self/exe\n", 0o755)
	for _, program := range []string{"/proc/self/exe", "/reexec"} {
		r := s.Davit("exec", s.ID, program, "--version")
		if r.Code == 0 || strings.Contains(r.Stdout(), "davit version") {
			t.Errorf("%s: exit code %d, %q", program, r.Code, r.Stdout())
		}
	}
	if now, err := os.Stat(harness.Binary(t)); err != nil || now.ModTime() != fi.ModTime() || now.Size() != fi.Size() {
		t.Errorf("davit's own binary has changed: %v", err)
	}
}
