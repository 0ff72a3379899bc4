package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// agentPatience bounds every wait for a seccomp agent: until it takes the
// listener, and until it has answered for a system call of davit's own, up to
// the exec. One that never does would keep a command, and the engine that waits
// for it, for ever.
const agentPatience = 10 * time.Second

// An agentError is a seccomp agent that doesn't answer.
type agentError struct{ path string }

func (e *agentError) Error() string {
	return fmt.Sprintf("linux.seccomp.listenerPath: the agent at %s didn't answer for %s while the process was on its way to its exec (does it let execve, and what comes before, pass?)", e.path, agentPatience)
}

// hasListener tells whether an agent is asked about system calls of the
// container. A listenerPath alone means nothing (config-linux.md, Seccomp).
func hasListener(spec *specs.Spec) bool {
	if spec.Linux == nil || spec.Linux.Seccomp == nil {
		return false
	}
	return slices.ContainsFunc(spec.Linux.Seccomp.Syscalls, func(s specs.LinuxSyscall) bool { return s.Action == specs.ActNotify })
}

// handOver gives the listener to the agent. From here on the stage's own system calls may have to wait for it.
func (l *launch) handOver(fd int) error {
	if err := l.sendListener(fd); err != nil {
		return err
	}
	if err := l.stage.Patience(agentPatience); err != nil {
		return err
	}
	return l.stage.Release(nsenter.TokenListenerSent)
}

// impatient explains a stage that was waited for in vain: only an agent can keep it.
func (l *launch) impatient(err error) error {
	if errors.Is(err, nsenter.ErrSilent) {
		return &agentError{l.spec.Linux.Seccomp.ListenerPath}
	}
	return err
}

// sendListener fetches the seccomp listener from the container's process and
// hands it to the agent at linux.seccomp.listenerPath (config-linux.md, The
// Container Process State).
func (l *launch) sendListener(fd int) error {
	cfg := l.spec.Linux.Seccomp
	const field = "linux.seccomp.listenerPath"
	if cfg.ListenerPath == "" {
		return fmt.Errorf("%s: the filter uses SCMP_ACT_NOTIFY and there is nobody to be notified", field)
	}
	pidfd, err := unix.PidfdOpen(l.pid, 0) // our child: the pid is its own until we reap it
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	defer unix.Close(pidfd)
	listener, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return fmt.Errorf("%s: fetch the listener: %w", field, err)
	}
	defer unix.Close(listener)
	status := specs.StateCreating
	if l.pid != l.record.Init.PID {
		status = specs.StateRunning // this is a process that joins
	}
	st := l.record.State(status)
	msg, err := json.Marshal(&specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: l.pid, Metadata: cfg.ListenerMetadata, State: *st,
	})
	if err != nil {
		return err
	}
	if err := sendOnce(cfg.ListenerPath, msg, listener); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// sendOnce connects to a stream socket and sends one message with one descriptor; the rest of a long message follows without.
func sendOnce(path string, msg []byte, fd int) error {
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(sock)
	// For connect(2), which waits while the agent's backlog is full, as well as for what follows (socket(7)).
	patience := unix.NsecToTimeval(agentPatience.Nanoseconds())
	if err := unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		return err
	}
	if err := unix.Connect(sock, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("connect to %s: %w", path, timedOut(err))
	}
	n, err := unix.SendmsgN(sock, msg, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
	for err == nil && n < len(msg) {
		msg = msg[n:]
		n, err = unix.SendmsgN(sock, msg, nil, nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", path, timedOut(err))
	}
	return nil
}

// timedOut says in words what a socket's time limit gives.
func timedOut(err error) error {
	if err == unix.EAGAIN {
		return fmt.Errorf("the agent took nothing for %s", agentPatience)
	}
	return err
}
