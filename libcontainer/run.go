package libcontainer

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"davit/libcontainer/process"
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
	var signals chan os.Signal
	if !opts.Detach {
		signals = make(chan os.Signal, 64)
		// What comes while the container is made is passed on when it runs.
		go signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
		defer signal.Stop(signals)
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
	return b.supervise(signals, opts)
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
func (b *boot) supervise(signals chan os.Signal, opts *RunOptions) (int, error) {
	b.stage.Close()
	_ = b.dir.Unlock() // others may look at, signal and delete the container from now on
	if !opts.NoSubreaper && b.record.SharedPID {
		// Orphans of a container without PID namespace are ours to reap while we are here.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	ended := make(chan unix.WaitStatus, 1)
	go b.reap(ended)
	// The rarer signals later: each costs several switches between threads, and many containers end before.
	rest := time.AfterFunc(restOfSignals, func() { notifyAll(signals) })
	defer rest.Stop()
	var ws unix.WaitStatus
	for done := false; !done; {
		select {
		case s := <-signals:
			b.forward(s)
		case ws = <-ended:
			done = true
		}
	}
	code := process.ExitCode(ws)
	b.pid = 0
	if b.relay != nil {
		if err := b.relay.Finish(); err != nil {
			b.rt.log.Warn(err.Error())
		}
	}
	if opts.Keep {
		b.killRest()
		b.release()
		return code, nil
	}
	return code, b.finish()
}

// reap waits for all children until the container's process has ended.
func (b *boot) reap(ended chan<- unix.WaitStatus) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || pid == b.pid:
			ended <- ws
			return
		}
	}
}

// restOfSignals is when signals are listened for that nobody sends to a container that has just begun.
const restOfSignals = 20 * time.Millisecond

func notifyAll(signals chan os.Signal) {
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if forwarded(sig) {
			signal.Notify(signals, sig)
		}
	}
}

// forwarded tells whether a signal is meant for the container: not what is about
// our own children and pipes, the Go runtime's own, or faults of this process.
func forwarded(sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGPIPE, unix.SIGURG, unix.SIGKILL, unix.SIGSTOP, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS, 32, 33, 34:
		return false // 32 to 34 are the C library's
	}
	return true
}

func (b *boot) forward(s os.Signal) {
	sig, ok := s.(unix.Signal)
	if !ok {
		return
	}
	if sig == unix.SIGWINCH && b.relay != nil {
		return // the relay's: the kernel tells the container when its terminal changes
	}
	if err := b.record.Init.Signal(sig); err != nil {
		b.rt.log.Debug(fmt.Sprintf("forward %s: %s", sig, err))
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
	if lock(b.dir) != nil {
		return nil // deleted by somebody else
	}
	if err := b.cgroup.Destroy(); err != nil {
		return err
	}
	b.rt.poststop(b.bundle.Spec, b.record)
	return b.dir.Remove()
}
