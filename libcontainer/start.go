package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/hooks"
	"davit/libcontainer/state"
	"davit/nsenter"
)

// ErrNoProcess is the start of a container whose configuration has no process (config.md, process).
var ErrNoProcess = errors.New("process: is required to start a container")

// Create makes a container that waits for [Runtime.Start] (runtime.md, Create).
// On error nothing is left of it.
func (rt *Runtime) Create(id string, opts *CreateOptions) error {
	b, err := rt.boot(id, opts, true, true)
	if err != nil {
		return err
	}
	b.release()
	rt.opts.Timings.Finish()
	return nil
}

// release lets go of a container that is made.
func (b *boot) release() {
	b.stage.Close()
	b.closeTerminal()
	b.cgroup.Close()
	b.dir.Close()
}

// Start executes the process of a created container (runtime.md, Start). It
// returns when the process runs, or with the reason why it doesn't.
//
// notifySocket is the service manager's (sd_notify(3)) or "": with one, Start
// returns when the container has reported that it is ready, or has ended.
func (rt *Runtime) Start(id, notifySocket string) error {
	c, err := rt.lockAndLoad(id, "start")
	if err != nil {
		return err
	}
	defer c.close()
	switch st := c.status(); st {
	case specs.StateCreated:
	case specs.StateRunning:
		return &StatusError{Text: "cannot start an already running container"}
	case specs.StateStopped:
		return &StatusError{Text: "cannot start a container that has stopped"}
	default:
		return &StatusError{Text: fmt.Sprintf("cannot start a container in the %s state", st)}
	}
	if c.record.NoProcess {
		return ErrNoProcess
	}
	var spec *specs.Spec
	if c.record.StartHooks {
		if spec, err = c.spec(); err != nil {
			return err
		}
		if err := rt.startHooks(spec, c.record); err != nil {
			c.destroy()
			return err
		}
	}
	proxy, err := listenNotify(c.dir.Path(), notifySocket)
	if err != nil {
		return err
	}
	if proxy != nil {
		defer proxy.Close()
	}
	err = rt.opts.Timings.Do("wake the process, until its exec", c.unpark)
	rt.opts.Timings.Finish()
	if err != nil {
		return err
	}
	if err := rt.poststart(spec, c.record, c.dir); err != nil {
		c.destroy()
		return err
	}
	return waitReady(proxy, c.record.Init)
}

// startHooks runs startContainer: in the container, before its process (runtime.md, Lifecycle 8).
func (rt *Runtime) startHooks(spec *specs.Spec, r *state.Record) error {
	if spec == nil || spec.Hooks == nil {
		return nil
	}
	return rt.runInside(context.Background(), spec.Hooks.StartContainer, hooks.StartContainer, r, spec, specs.StateCreated)
}

// poststart runs the hooks after the exec. They can do with the container whatever
// can be done with a running one, so they run without the lock. One that fails is
// the container's end (Lifecycle 9), for which the caller has the lock again,
// unless there is no such container any more.
func (rt *Runtime) poststart(spec *specs.Spec, r *state.Record, dir *state.Dir) error {
	if spec == nil || spec.Hooks == nil || len(spec.Hooks.Poststart) == 0 {
		return nil
	}
	if err := dir.Unlock(); err != nil {
		return err
	}
	failed := hooks.Run(context.Background(), spec.Hooks.Poststart, hooks.Poststart, hookState(r, specs.StateRunning, r.Init.PID), rt.hooksOutside())
	if failed == nil {
		return nil
	}
	if err := lock(dir); err != nil && !errors.Is(err, state.ErrNotExist) {
		return errors.Join(failed, err)
	}
	return failed
}

// destroy is the end of a container whose start has failed in a hook: it is stopped,
// removed, and its poststop hooks run (runtime.md, Lifecycle 7 and 9). The caller reports why.
func (c *container) destroy() {
	if !c.dir.Held() {
		return // somebody else has removed it while the hook ran
	}
	if err := c.delete(true); err != nil {
		c.rt.log.Warn("clean up: " + err.Error())
	}
}

// kill ends a container that must not go on.
func (c *container) kill() {
	if m, err := c.cgroup(); err == nil {
		_ = m.Kill(unix.SIGKILL)
		m.Close()
	}
	_ = c.record.Init.Signal(unix.SIGKILL)
}

// unpark opens the exec FIFO, which wakes the process, and reads until it is
// closed: by the exec, or with the reason why there is none.
func (c *container) unpark() error {
	pidfd, err := c.record.Init.Open()
	if err != nil {
		return &StatusError{Text: "cannot start a container that has stopped", Err: err}
	}
	defer unix.Close(pidfd)
	path := filepath.Join(c.dir.Path(), "exec.fifo")
	// Not blocking: the process may be dead, and then nobody ever opens the other end.
	fifo, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fifo)
	timeout := -1
	if c.record.Listener {
		timeout = int(agentPatience.Milliseconds())
	}
	msg, err := readReport(fifo, pidfd, timeout)
	if errors.Is(err, nsenter.ErrSilent) {
		c.kill() // or it might run one day, after its start has failed
		if spec, e := c.spec(); e == nil && hasListener(spec) {
			return &agentError{spec.Linux.Seccomp.ListenerPath}
		}
	}
	if err != nil {
		return err
	}
	if err := c.dir.RemoveFifo(); err != nil {
		return err
	}
	woke, err := nsenter.DecodeParked(msg)
	if err == nil && !woke {
		return endedBeforeExec()
	}
	return explainStart(err, "")
}

func endedBeforeExec() error {
	return &StatusError{Text: "cannot start a container that has stopped: its process ended before its exec", Err: ErrNotRunning}
}

// readReport reads what a parked process writes until it closes the FIFO or
// ends. [nsenter.ErrSilent] is one that does nothing for timeout ms; -1 waits without end.
func readReport(fifo, pidfd, timeout int) ([]byte, error) {
	var msg []byte
	buf := make([]byte, 4096)
	fds := []unix.PollFd{{Fd: int32(fifo), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, timeout)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return nil, nsenter.ErrSilent
		}
		if fds[0].Revents == 0 {
			if len(msg) == 0 {
				// It ended without ever opening the FIFO.
				return nil, endedBeforeExec()
			}
			return msg, nil
		}
		n, err = unix.Read(fifo, buf)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return nil, err
		case n == 0:
			return msg, nil
		default:
			msg = append(msg, buf[:n]...)
		}
	}
}
