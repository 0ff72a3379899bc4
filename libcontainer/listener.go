package libcontainer

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

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
	if err := unix.Connect(sock, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("connect to %s: %w", path, err)
	}
	n, err := unix.SendmsgN(sock, msg, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
	for err == nil && n < len(msg) {
		msg = msg[n:]
		n, err = unix.SendmsgN(sock, msg, nil, nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", path, err)
	}
	return nil
}
