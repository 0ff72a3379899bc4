package libcontainer

import (
	"errors"
	"io"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/hooks"
	"davit/libcontainer/plan"
	"davit/libcontainer/process"
	"davit/nsenter"
)

// enterer starts hooks inside a container's namespaces.
type enterer struct {
	init       process.ID
	namespaces uint64 // CLONE_NEW* flags
}

// start is a hooks.Starter.
func (e *enterer) start(h specs.Hook, stdin, stdout, stderr *os.File) (hooks.Process, error) {
	pidfd, err := e.init.Open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(pidfd)
	stage, err := nsenter.Start([]uintptr{stdin.Fd(), stdout.Fd(), stderr.Fd()})
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	if err := stage.Send(plan.Hook(&h, e.namespaces), []int{pidfd}); err != nil {
		return nil, err
	}
	pid := 0
	for {
		report, err := stage.Receive()
		if r, ok := report.(nsenter.Cloned); ok {
			pid = r.PID
		}
		if err == nil {
			continue
		}
		if err == io.EOF && pid > 0 {
			return &entered{pid: pid}, nil
		}
		if err == io.EOF {
			err = errors.New("the stage ended before it started the hook")
		}
		if pid > 0 {
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
		return nil, explainStart(err, h.Path)
	}
}

// entered is a hook's process, a session leader and our child.
type entered struct{ pid int }

func (p *entered) Wait() (unix.WaitStatus, error) {
	var info unix.Siginfo
	// First without reaping, so that Kill never means another process.
	for {
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return 0, err
		}
	}
	var ws unix.WaitStatus
	_, err := unix.Wait4(p.pid, &ws, 0, nil)
	return ws, err
}

func (p *entered) Kill() error { return unix.Kill(-p.pid, unix.SIGKILL) }
