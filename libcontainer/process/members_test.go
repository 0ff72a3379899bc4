package process

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// The members of a new PID namespace are its first process alone; those of the test's own have the test among them, and that process too.
func TestMembers(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("needs a PID namespace, which this host doesn't let the tests make: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if got, err := Members(pid); err != nil || !slices.Equal(got, []int{pid}) {
		t.Errorf("the members are %v, %v, want %d", got, err, pid)
	}
	if got, err := Members(os.Getpid()); err != nil || !slices.Contains(got, os.Getpid()) || !slices.Contains(got, pid) {
		t.Errorf("the members of the test's namespace are %v, %v, want %d and %d among them", got, err, os.Getpid(), pid)
	}
	if got, err := Members(1 << 22); err == nil {
		t.Errorf("a process that can't exist has the members %v", got)
	}
}
