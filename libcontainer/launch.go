package libcontainer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/libcontainer/console"
	"davit/libcontainer/notify"
	"davit/libcontainer/plan"
	"davit/libcontainer/signals"
	"davit/libcontainer/state"
	"davit/nsenter"
	"davit/seccomp"
)

// launch is what the first process of a container and those that join it have
// in common: a stage that is talked to until only the exec is left.
type launch struct {
	rt       *Runtime
	opts     *ProcessOptions
	kind     string      // what the pidfd socket is told: "standard" for a container's first process, "setns" for others
	detach   bool        // davit returns before the process ends
	spec     *specs.Spec // its process is the one to be launched
	record   *state.Record
	starting chan error     // the stage is being started
	stage    *nsenter.Stage // once started
	cgroup   cgroups.Manager
	plan     *plan.Plan
	program  nsenter.Program // the process phase, once sent
	times    nsenter.Times   // when the stage did what, if that is asked for

	pid      int            // the process, our child; 0 before the clone
	master   *os.File       // of its terminal
	relay    *console.Relay // between it and ours, in the foreground
	proxy    *notify.Proxy  // its notify socket, in the foreground
	seccomp  *plan.Seccomp
	home     string
	homeDone bool // the user's home directory is known
	joined   bool // the process is in its cgroups
	hooked   bool // the hooks have run
	sent     bool // the process phase is under way
	held     bool // something is left to do between the process's readiness and its exec, which the options don't say
	released bool // the process needn't wait for us any more
}

// steps are what the two kinds of launch do differently.
type steps interface {
	cloned() error                     // the process exists, as pid
	waiting(t nsenter.Token) error     // the stage waits for t to be done
	open(f *plan.FileRef) (int, error) // a descriptor for the plan; the caller closes it
	confined() error                   // the process is ready for its exec, or past it; before anybody is told
}

// startStage begins to start a stage whose first descriptors are the process's;
// it comes to life beside whatever is done until its first use.
func (l *launch) startStage() error {
	files, err := l.opts.files()
	if err != nil {
		return err
	}
	if l.stage = l.opts.Stage; l.stage != nil && l.opts.extra() == 0 {
		l.opts.Stage = nil
		return nil
	}
	l.stage = nil
	l.starting = make(chan error, 1)
	go func() {
		var err error
		l.stage, err = nsenter.Start(files)
		l.starting <- err
	}()
	return nil
}

// started waits for the stage. It may be called more than once.
func (l *launch) started() error {
	if l.starting == nil {
		return nil
	}
	err := <-l.starting
	l.starting = nil
	if errors.Is(err, unix.EACCES) {
		if err := forbiddenMemfd(); err != nil {
			return err
		}
	}
	return err
}

// execute sends the plan and does davit's part while the stage does its own, until only the exec is left.
func (l *launch) execute(s steps) error {
	if err := l.step("wait for the stage", l.started); err != nil {
		return err
	}
	if l.rt.opts.Timings != nil {
		l.stage.Time()
	}
	if err := l.step("send the plan", func() error { return l.send(s) }); err != nil {
		return err
	}
	if err := l.converse(s); err != nil {
		return explainDenied(explainStart(err, l.arg0()), l.plan)
	}
	return nil
}

func (l *launch) arg0() string {
	if p := l.spec.Process; p != nil && len(p.Args) > 0 {
		return p.Args[0]
	}
	return ""
}

func (l *launch) send(s steps) error {
	fds := make([]int, 0, len(l.plan.Files))
	defer func() {
		for i, fd := range fds {
			if l.plan.Files[i].Kind != plan.CgroupDir { // the manager's own
				unix.Close(fd)
			}
		}
	}()
	for i := range l.plan.Files {
		f := &l.plan.Files[i]
		fd, ok := -1, false
		var err error
		if f.Kind == plan.CgroupDir {
			if fd, ok = l.cgroup.Dir(); !ok {
				err = fmt.Errorf("%s: the cgroup has no directory", f.Field)
			}
		} else {
			fd, err = s.open(f)
		}
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	return l.stage.Send(l.plan.World, fds)
}

func (l *launch) converse(s steps) error {
	l.homeDone, l.hooked = !l.plan.Passwd, !l.plan.Hooks
	for {
		report, err := l.stage.Receive()
		if err == io.EOF {
			return l.died()
		}
		if err != nil {
			return l.impatient(err)
		}
		switch r := report.(type) {
		case nsenter.Cloned:
			l.pid = r.PID
			l.debugLaunched()
			if err = l.step("cgroups, mappings, state", s.cloned); err == nil {
				err = l.step("compile seccomp", l.compileSeccomp)
			}
		case nsenter.File:
			err = l.received(r)
		case nsenter.Waiting:
			if err = l.step("run hooks", func() error { return s.waiting(r.Token) }); err == nil {
				err = l.stage.Release(r.Token)
			}
		case nsenter.Listener:
			err = l.handOver(r.Fd)
		case nsenter.Times:
			l.times = append(l.times, r...)
		case nsenter.Ready:
			l.recordStage()
			if err := s.confined(); err != nil {
				return err
			}
			return l.ready()
		}
		if err == nil {
			err = l.sendProcess()
		}
		if err != nil {
			return err
		}
	}
}

func (l *launch) received(f nsenter.File) error {
	switch f.Kind {
	case nsenter.FilePtyMaster:
		if f.Err != nil {
			return f.Err
		}
		l.master = os.NewFile(uintptr(f.Fd), "ptmx")
		return nil
	case nsenter.FilePasswd:
		l.homeDone = true
		if f.Err == nil {
			l.home = homeOf(f.Fd, l.spec.Process.User.UID)
		}
		return nil
	}
	if f.Fd >= 0 {
		unix.Close(f.Fd)
	}
	return fmt.Errorf("the stage sent an unexpected file (%s)", f.Kind)
}

// compileSeccomp works beside the stage, which builds the container's world meanwhile.
func (l *launch) compileSeccomp() error {
	if l.spec.Process == nil || l.spec.Linux == nil || l.spec.Linux.Seccomp == nil {
		return nil
	}
	filter, err := l.rt.filter(l.spec)
	if err != nil {
		return err
	}
	for _, w := range filter.Warnings {
		l.rt.log.Debug(w)
	}
	l.seccomp = &plan.Seccomp{Filter: filter.Program, Flags: uint64(filter.Flags), Notify: filter.Notify}
	return nil
}

// seccompCache is the folder of compiled filters in the state directory; no container can have that name.
const seccompCache = "@seccomp"

// filter compiles a profile, or takes what was compiled before. A cache that can't be used costs only time.
func (rt *Runtime) filter(spec *specs.Spec) (*seccomp.Filter, error) {
	var opts seccomp.Options
	if spec.Annotations["run.oci.seccomp_fail_unknown_syscall"] != "" {
		opts.FailUnknownSyscalls = true
	}
	cache, err := seccomp.OpenCache(filepath.Join(rt.store.Root(), seccompCache))
	if err != nil {
		rt.log.Debug("seccomp cache: " + err.Error())
		return seccomp.Compile(spec.Linux.Seccomp, opts)
	}
	defer cache.Close()
	return cache.Compile(spec.Linux.Seccomp, opts)
}

// sendProcess sends the process phase as soon as everything it needs is known.
func (l *launch) sendProcess() error {
	if l.sent || !l.homeDone || !l.hooked || !l.joined {
		return nil
	}
	l.sent = true
	if l.spec.Process == nil {
		return l.stage.Send(l.plan.Idle(), nil)
	}
	late := &plan.Late{Home: l.home, Seccomp: l.seccomp}
	if p := l.spec.Process.ApparmorProfile; p != "" {
		var err error
		if late.AppArmor, err = apparmorLabel(p); err != nil {
			return err
		}
	}
	program, err := l.plan.Process(late)
	if err != nil {
		return err
	}
	l.program = program
	for _, w := range l.plan.Warnings {
		l.rt.log.Warn(w.String())
	}
	if err := l.stage.Send(program, nil); err != nil || !l.unattended() {
		return err
	}
	// It goes on to its exec without waiting until we are awake.
	l.released = true
	return l.stage.Release(nsenter.TokenStart)
}

// unattended tells that nothing is left to do for us between the process's readiness and its exec.
func (l *launch) unattended() bool {
	h := l.spec.Hooks
	return !l.held && !l.spec.Process.Terminal && l.opts.PIDFile == "" && l.opts.PidfdSocket == "" &&
		(h == nil || len(h.StartContainer) == 0) && (l.seccomp == nil || !l.seccomp.Notify)
}

// ready hands the terminal over and tells the engine the pid: all is done but the exec.
func (l *launch) ready() error {
	if err := l.connectTerminal(); err != nil {
		return err
	}
	if err := l.sendPidfd(); err != nil {
		return err
	}
	if l.opts.PIDFile != "" {
		return writePIDFile(l.opts.PIDFile, l.pid)
	}
	return nil
}

// sendPidfd sends a pidfd of the process to the pidfd socket; the payload says which kind of process it is.
func (l *launch) sendPidfd() error {
	if l.opts.PidfdSocket == "" {
		return nil
	}
	fd, err := unix.PidfdOpen(l.pid, 0)
	if err != nil {
		return fmt.Errorf("--pidfd-socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if err := console.SendFile(l.opts.PidfdSocket, l.kind, f); err != nil {
		return fmt.Errorf("--pidfd-socket: %w", err)
	}
	return nil
}

// execed releases a process that waits for it, and returns when it is executed.
func (l *launch) execed() error {
	if !l.released {
		if err := l.stage.Release(nsenter.TokenStart); err != nil {
			return err
		}
	}
	if _, err := l.stage.Receive(); err != io.EOF {
		return explainStart(l.impatient(err), l.arg0())
	}
	l.recordExec()
	return nil
}

// abandon ends the process and the conversation.
func (l *launch) abandon() {
	_ = l.started()
	if l.stage != nil {
		l.stage.Close()
	}
	l.closeTerminal()
	if l.pid > 0 {
		_ = unix.Kill(l.pid, unix.SIGKILL) // our child, not yet reaped: the pid is its own
		_, _ = reap(l.pid)
		l.pid = 0
	}
}

// wait passes signals on until the process has ended, and shows the rest of what it printed.
func (l *launch) wait(caught *signals.Pipe, adopts bool) (unix.WaitStatus, error) {
	ws, err := l.waitEnd(caught, adopts)
	if err != nil {
		return ws, err
	}
	l.pid = 0
	if l.relay != nil {
		if err := l.finishRelay(caught); err != nil {
			l.rt.log.Warn(err.Error())
		}
	}
	return ws, nil
}

// finishRelay shows the rest of the output. A signal ends the wait for somebody
// who reads it: there is no process any more that it could be passed on to.
func (l *launch) finishRelay(caught *signals.Pipe) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0])
	result := make(chan error, 1)
	go func() {
		result <- l.relay.Finish()
		unix.Close(pipe[1])
	}()
	fds := []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}, {Fd: int32(caught.FD()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return err
		}
		if fds[0].Revents != 0 {
			return <-result
		}
		for sig := caught.Next(); sig != 0; sig = caught.Next() {
			switch sig {
			case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM:
				_ = l.relay.Close() // and Finish returns
			default:
				l.relay.Signal(sig)
			}
		}
	}
}

func (l *launch) waitEnd(caught *signals.Pipe, adopts bool) (unix.WaitStatus, error) {
	pidfd, err := unix.PidfdOpen(l.pid, 0) // our child: the pid is its own until we reap it
	if err != nil {
		return 0, err
	}
	defer unix.Close(pidfd)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(caught.FD()), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	if l.proxy != nil {
		fds[2].Fd = int32(l.proxy.FD())
	}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return 0, err
		}
		if fds[0].Revents != 0 {
			return reap(l.pid)
		}
		if fds[2].Revents != 0 {
			ready, err := l.proxy.Relay(l.pid)
			if err != nil {
				l.rt.log.Warn(err.Error())
			}
			if ready || err != nil {
				fds[2].Fd = -1 // poll(2) passes over it
			}
		}
		for sig := caught.Next(); sig != 0; sig = caught.Next() {
			switch {
			case sig == unix.SIGCHLD && adopts:
				l.reapOrphans()
			case sig == unix.SIGCHLD:
			case l.relay != nil && (sig == unix.SIGWINCH || sig == unix.SIGCONT):
				// About the terminal. The relay resizes the container's, and the kernel tells the container.
				l.relay.Signal(sig)
			default:
				if err := unix.PidfdSendSignal(pidfd, sig, nil, 0); err != nil {
					l.rt.log.Debug(fmt.Sprintf("forward %s: %s", sig, err))
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

// reapOrphans reaps adopted children that have ended, but not the process itself, which is waited for.
func (l *launch) reapOrphans() {
	for {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
			return
		}
		pid := waitedPID(&info)
		if pid == 0 || pid == l.pid {
			return
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// catchForwarded catches what a command in the foreground passes on, and SIGCHLD.
func catchForwarded() (*signals.Pipe, error) {
	return signals.Catch(func(sig unix.Signal) bool { return sig == unix.SIGCHLD || signals.Forwarded(sig) })
}
