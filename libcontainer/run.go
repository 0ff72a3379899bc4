package libcontainer

import (
	"errors"

	"golang.org/x/sys/unix"

	"davit/libcontainer/process"
	"davit/libcontainer/signals"
	"davit/libcontainer/state"
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
		if caught, err = catchForwarded(); err != nil {
			return 1, err
		}
		defer caught.Close()
	}
	b, err := rt.boot(id, &opts.CreateOptions, false, opts.Detach)
	if err != nil {
		return 1, err
	}
	proxy, err := listenNotify(b.dir.Path(), opts.NotifySocket)
	if err == nil {
		if proxy != nil {
			defer proxy.Close()
		}
		err = b.start()
	}
	if err != nil {
		b.undo()
		return 1, err
	}
	if opts.Detach {
		defer b.release()
		if err := waitReady(proxy, b.record.Init); err != nil {
			rt.log.Warn(err.Error()) // the container runs, and isn't the caller's to clean up
		}
		return 0, nil
	}
	b.proxy = proxy
	return b.supervise(caught, opts)
}

// start releases a process that waits for it.
func (b *boot) start() error {
	b.hooksBegun = true // the container is created: poststop follows its end, whatever that is (runtime.md, Lifecycle)
	if b.record.NoProcess {
		return ErrNoProcess
	}
	if hasStartHooks(b.spec.Hooks) {
		if err := b.rt.startHooks(b.spec, b.record); err != nil {
			return err
		}
		if err := b.dir.RemoveFifo(); err != nil {
			return err
		}
	}
	if err := b.execed(); err != nil {
		return err
	}
	return b.rt.poststart(b.spec, b.record, b.dir)
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
	if opts.Keep {
		b.killRest()
		b.release()
		return process.ExitCode(ws), nil
	}
	return process.ExitCode(ws), b.finish()
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
	if err := (&container{b.rt, b.dir, b.record}).removeRdt(); err != nil {
		return err
	}
	b.rt.poststop(b.spec, b.record)
	return b.dir.Remove()
}
