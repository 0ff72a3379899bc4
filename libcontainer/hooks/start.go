package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// StartProcess is the Starter of hooks that run in the runtime's namespaces. The
// hook has a process group of its own and the runtime's working directory.
func StartProcess(hook specs.Hook, stdin, stdout, stderr *os.File) (Process, error) {
	argv := hook.Args
	if len(argv) == 0 {
		argv = []string{hook.Path}
	}
	p, err := os.StartProcess(hook.Path, argv, &os.ProcAttr{
		// Never nil, for which the runtime's environment would be taken.
		Env:   append(make([]string, 0, len(hook.Env)), hook.Env...),
		Files: []*os.File{stdin, stdout, stderr},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		// The error of os names the path, as ours will.
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("cannot be executed: %w", err)
	}
	return &group{leader: p}, nil
}

// group is a process that leads a process group.
type group struct {
	leader *os.Process

	mu     sync.Mutex
	reaped bool // the number may mean another group from now on
}

func (g *group) Wait() (unix.WaitStatus, error) {
	// First wait without reaping: as long as the zombie is there, its number is
	// that of no other group, and Kill is safe.
	err := error(unix.EINTR)
	for err == unix.EINTR {
		err = unix.Waitid(unix.P_PID, g.leader.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("its exit status is lost: waitid: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reaped = true
	st, err := g.leader.Wait()
	if err != nil {
		return 0, fmt.Errorf("its exit status is lost: %w", err)
	}
	return unix.WaitStatus(st.Sys().(syscall.WaitStatus)), nil
}

func (g *group) Kill() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reaped {
		return nil
	}
	if err := unix.Kill(-g.leader.Pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill its process group: %w", err)
	}
	return nil
}
