package libcontainer

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"davit/libcontainer/process"
	"davit/libcontainer/signals"
	"davit/libcontainer/state"
	"davit/nsenter"
)

// RunOptions say how a container is run.
type RunOptions struct {
	CreateOptions
	Detach      bool // return when the process runs
	Keep        bool // leave the container's state behind after its end
	NoSubreaper bool // don't adopt the container's orphans
}

// Run makes a container and starts it. Unless detached it waits for the end of
// the container's process, passing signals on to it, removes the container and
// returns the exit code: the process's status, or 128 plus the signal that ended it.
func (rt *Runtime) Run(id string, opts *RunOptions) (int, error) {
	var caught *signals.Pipe
	if !opts.Detach {
		// From the beginning: what comes while the container is made is passed on when it runs.
		var err error
		if caught, err = signals.Catch(func(sig unix.Signal) bool { return sig == unix.SIGCHLD || signals.Forwarded(sig) }); err != nil {
			return 1, err
		}
		defer caught.Close()
	}
	b, err := rt.boot(id, &opts.CreateOptions, false, opts.Detach)
	if err != nil {
		return 1, err
	}
	if err := b.start(); err != nil {
		b.undo()
		return 1, explainStart(err, b.arg0())
	}
	if opts.Detach {
		b.release()
		return 0, nil
	}
	return b.supervise(caught, opts)
}

// start releases a process that waits for it.
func (b *boot) start() error {
	if b.record.NoProcess {
		return ErrNoProcess
	}
	spec := b.bundle.Spec
	if err := startHooks(spec, b.record); err != nil {
		return err
	}
	if err := b.stage.Release(nsenter.TokenStart); err != nil {
		return err
	}
	if _, err := b.stage.Receive(); err != io.EOF {
		return err
	}
	return poststart(spec, b.record)
}

// supervise waits for the process's end and cleans up after it.
func (b *boot) supervise(caught *signals.Pipe, opts *RunOptions) (int, error) {
	b.stage.Close()
	_ = b.dir.Unlock() // others may look at, signal and delete the container from now on
	adopts := b.record.SharedPID && !opts.NoSubreaper
	if adopts {
		// Orphans of a container without PID namespace are ours to reap while we are here.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	ws, err := b.wait(caught, adopts)
	if err != nil {
		return 1, err
	}
	b.pid = 0
	if b.relay != nil {
		if err := b.relay.Finish(); err != nil {
			b.rt.log.Warn(err.Error())
		}
	}
	if opts.Keep {
		b.killRest()
		b.release()
		return process.ExitCode(ws), nil
	}
	return process.ExitCode(ws), b.finish()
}

// wait passes signals on until the container's process has ended.
func (b *boot) wait(caught *signals.Pipe, adopts bool) (unix.WaitStatus, error) {
	pidfd, err := unix.PidfdOpen(b.pid, 0) // our child: the pid is its own until we reap it
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(caught.FD()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return 0, err
		}
		if fds[0].Revents != 0 {
			return reap(b.pid)
		}
		for sig := caught.Next(); sig != 0; sig = caught.Next() {
			switch {
			case sig == unix.SIGCHLD && adopts:
				b.reapOrphans()
			case sig == unix.SIGCHLD, sig == unix.SIGWINCH && b.relay != nil:
				// The relay resizes the container's terminal, and the kernel tells the container.
			default:
				if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); err != nil {
					b.rt.log.Debug(fmt.Sprintf("forward %s: %s", sig, err))
				}
			}
		}
	}
}

func reap(pid int) (unix.WaitStatus, error) {
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			return ws, err
		}
	}
}

// reapOrphans reaps adopted children that have ended, but not the container's first process, which is waited for.
func (b *boot) reapOrphans() {
	for {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
			return
		}
		pid := waitedPID(&info)
		if pid == 0 || pid == b.pid {
			return
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// killRest ends what a container without PID namespace of its own leaves running.
func (b *boot) killRest() {
	if b.record.SharedPID {
		_ = b.cgroup.Kill(unix.SIGKILL)
	}
}

// finish removes a container whose process has ended.
func (b *boot) finish() error {
	defer b.release()
	b.killRest()
	if err := lock(b.dir); errors.Is(err, state.ErrNotExist) {
		return nil // deleted by somebody else
	} else if err != nil {
		return err
	}
	if err := b.cgroup.Destroy(); err != nil {
		return err
	}
	b.rt.poststop(b.bundle.Spec, b.record)
	return b.dir.Remove()
}
