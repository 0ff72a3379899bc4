package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func seccompEdit(p *specs.LinuxSeccomp) harness.Edit {
	return func(s *specs.Spec) { s.Linux.Seccomp = p }
}

func TestSeccomp(t *testing.T) {
	t.Parallel()
	eacces := uint(unix.EACCES)
	for _, nnp := range []bool{true, false} {
		s := harness.New(t, harness.AllCapabilities())
		s.Spec.Process.NoNewPrivileges = nnp
		s.InstallProbe()
		s.Edit(seccompEdit(&specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno},
				{Names: []string{"sync"}, Action: specs.ActErrno, ErrnoRet: &eacces},
				{Names: []string{"personality"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 8, Op: specs.OpEqualTo}}},
			},
		}))
		out := s.Sh(fmt.Sprintf(`mkdir /made 2>&1; /probe syscall %d; /probe syscall %d 8; /probe syscall %d 0xffffffff; grep Seccomp: /proc/self/status`,
			unix.SYS_SYNC, unix.SYS_PERSONALITY, unix.SYS_PERSONALITY))
		want := "mkdir: can't create directory '/made': Operation not permitted\nEACCES\nEPERM\nok\nSeccomp:\t2\n"
		if out != want {
			t.Errorf("noNewPrivileges %t: got\n%swant\n%s", nnp, out, want)
		}
	}
}

// A profile that allows what it knows denies the rest, but a system call from
// after the profile's time is not there: programs fall back on ENOSYS only.
func TestSeccompFutureSyscall(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.InstallProbe()
	names := []string{"read", "write", "openat", "close", "execve", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "mmap", "munmap",
		"mprotect", "madvise", "futex", "clone", "clone3", "sched_getaffinity", "sigaltstack", "arch_prctl", "gettid", "getpid", "tgkill", "fcntl", "fstat", "newfstatat",
		"epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "pipe2", "nanosleep", "prlimit64", "brk", "set_tid_address", "set_robust_list", "rseq", "uname",
		"faccessat", "faccessat2", "getrandom", "readlinkat", "statx"}
	s.Edit(seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActAllow}}}))
	if out := s.Output(harness.Args("/probe", "syscall", fmt.Sprint(unix.SYS_MKDIRAT))); out != "EPERM\n" {
		t.Errorf("mkdirat: %q", out)
	}
	if out := s.Output(harness.Args("/probe", "syscall", "2000")); out != "ENOSYS\n" {
		t.Errorf("a system call of the future: %q", out)
	}
}

func TestSeccompKill(t *testing.T) {
	t.Parallel()
	s := harness.New(t, seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActKillProcess}}}))
	r := s.Run(harness.Args("/bin/mkdir", "/made"))
	if want := 128 + int(unix.SIGSYS); r.Code != want {
		t.Errorf("exit code %d, want %d\n%s", r.Code, want, r.Stderr())
	}
}

// The agent at listenerPath gets one message with the container's state and the listener (X7, X9).
func TestSeccompNotify(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/mkdir", "/made"))
	path := filepath.Join(s.Dir, "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type message struct {
		state specs.ContainerProcessState
		fds   int
		err   error
	}
	got := make(chan message, 1)
	go func() {
		m, fd, err := receiveListener(l)
		if err == nil {
			err = answer(fd, unix.EXDEV)
		}
		got <- message{m, fd, err}
	}()
	s.Edit(seccompEdit(&specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow, ListenerPath: path, ListenerMetadata: "for the agent",
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActNotify}},
	}))
	r := s.Run()
	r.FailsWith(1, "Invalid cross-device link")
	select {
	case m := <-got:
		if m.err != nil {
			t.Fatal(m.err)
		}
		if m.state.Metadata != "for the agent" || m.state.State.ID != s.ID || m.state.State.Status != specs.StateCreating || len(m.state.Fds) != 1 || m.state.Fds[0] != specs.SeccompFdName || m.state.Pid <= 0 {
			t.Errorf("the agent was told %+v", m.state)
		}
	case <-time.After(10 * time.Second):
		t.Error("the agent heard nothing")
	}
	s.Spec.Linux.Seccomp.ListenerPath = filepath.Join(s.Dir, "nobody.sock")
	s.Run().Fails("linux.seccomp.listenerPath")
}

// receiveListener takes the one connection and reads the state and the descriptor from it.
func receiveListener(l *net.UnixListener) (specs.ContainerProcessState, int, error) {
	var st specs.ContainerProcessState
	conn, err := l.AcceptUnix()
	if err != nil {
		return st, -1, err
	}
	defer conn.Close()
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	n, on, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return st, -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil || len(msgs) != 1 {
		return st, -1, fmt.Errorf("%d control messages, %v", len(msgs), err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return st, -1, fmt.Errorf("%d descriptors, %v", len(fds), err)
	}
	for json.Unmarshal(buf[:n], &st) != nil {
		more, err := conn.Read(buf[n:])
		if err != nil {
			return st, -1, fmt.Errorf("no JSON in %q", buf[:n])
		}
		n += more
	}
	return st, fds[0], nil
}

func TestSeccompWarnsOfNothing(t *testing.T) {
	t.Parallel()
	// Names that this libseccomp or kernel doesn't know are usual in engines' profiles.
	s := harness.New(t, seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Syscalls: []specs.LinuxSyscall{{Names: []string{"no_such_call", "mkdir", "mkdirat"}, Action: specs.ActErrno}}}))
	r := s.Run(harness.Args("/bin/mkdir", "/made"))
	r.FailsWith(1, "Operation not permitted")
	if strings.Contains(r.Stderr(), "level=warn") {
		t.Errorf("a usual profile causes warnings: %s", r.Stderr())
	}
}
