package process

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// A further process in two steps: made and seen by its engine first, executed later.
func TestExecCreate(t *testing.T) {
	t.Parallel()
	s := running(t)
	pidFile, sock := filepath.Join(s.Dir, "pid"), listenConsole(t, s)
	r := s.Davit(execLine(s, "echo executed; exec sleep 1000", "--create", "job", "--pid-file", pidFile, "--pidfd-socket", sock.path)...)
	r.Succeeds()
	pid := readPID(t, pidFile)
	if _, payload := sock.receive(t); payload != "setns" {
		t.Errorf("the pidfd's payload is %q", payload)
	}
	if !slices.Contains(pids(s), pid) {
		t.Errorf("the process %d isn't in the container: %v", pid, pids(s))
	}
	if own, init := link(t, fmt.Sprintf("/proc/%d/ns/mnt", pid)), link(t, fmt.Sprintf("/proc/%d/ns/mnt", s.PID())); own != init {
		t.Errorf("the process isn't in the container's mount namespace")
	}
	time.Sleep(50 * time.Millisecond)
	if r.Stdout() != "" {
		t.Errorf("it was executed already: %q", r.Stdout())
	}
	s.Davit(execLine(s, "true", "--create", "job")...).FailsWith(255, "job", "already exists")
	s.Davit("start", s.ID, "another").Fails("another")
	s.Davit("start", s.ID, "../"+s.ID).Fails("has no process")
	s.Davit("start", s.ID, "job").Succeeds()
	harness.Eventually(t, "its output", func() bool { return r.Stdout() == "executed\n" })
	if got := descriptors(t, pid); got != "0 1 2" {
		t.Errorf("open descriptors are %s", got)
	}
	s.Davit("start", s.ID, "job").Fails("has no process")
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	// What is wrong with the program is an error of start, and the name is free again.
	s.WriteFile("/no-shebang", "echo hello\n", 0o755)
	for range 2 {
		s.Davit("exec", "--create", "job", s.ID, "/no-shebang").Succeeds()
		s.Davit("start", s.ID, "job").Fails("/no-shebang", "exec format error")
	}
	// As it is after a process that was killed while it waited.
	s.Davit("exec", "--create", "job", "--pid-file", pidFile, s.ID, "/bin/true").Succeeds()
	if err := unix.Kill(readPID(t, pidFile), unix.SIGKILL); err != nil {
		t.Error(err)
	}
	s.Davit("start", s.ID, "job").Fails("has")
	s.Davit("exec", "--create", "job", s.ID, "/bin/true").Succeeds()
	// What still waits goes with the container.
}

// davit is killed while it makes one: the container is usable, and so is the name after a start, whatever that says.
func TestExecCreateKilled(t *testing.T) {
	t.Parallel()
	s, before := crashed(t, nil)
	for delay := time.Duration(0); delay < 10*time.Millisecond; delay += 500 * time.Microsecond {
		c := s.Command("exec", "--create", "job", s.ID, "/bin/true")
		c.Begin()
		time.Sleep(delay)
		_ = c.Process.Kill()
		c.End()
		s.Davit("start", s.ID, "job")
		if r := s.Davit("exec", "--create", "job", s.ID, "/bin/true"); r.Code != 0 {
			t.Fatalf("killed after %s: the name can't be used again: %s", delay, r.Stderr())
		}
		s.Davit("start", s.ID, "job").Succeeds()
	}
	harness.Eventually(t, "the processes' end", func() bool { return slices.Equal(pids(s), []int{before.pid}) })
}
