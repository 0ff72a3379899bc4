package libcontainer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/libcontainer/bundle"
	"davit/libcontainer/console"
	"davit/libcontainer/plan"
	"davit/libcontainer/process"
	"davit/libcontainer/state"
	"davit/nsenter"
	"davit/seccomp"
)

// boot makes one container, from the bundle to a process that waits for its
// exec. What it made is undone by undo, in whatever order it got there.
type boot struct {
	rt     *Runtime
	id     string
	opts   *CreateOptions
	park   bool // leave the process on the exec FIFO; otherwise it waits for Release(Start)
	detach bool // return before the process ends
	bundle *bundle.Bundle
	stage  *nsenter.Stage
	dir    *state.Dir
	cgroup cgroups.Manager
	plan   *plan.Plan
	record *state.Record

	pid        int            // the container's process, our child; 0 before the clone
	master     *os.File       // of the container's terminal
	relay      *console.Relay // between it and ours, in the foreground
	home       string
	homeDone   bool // the user's home directory is known
	made       bool // the cgroups are made
	joined     bool // the process is in its cgroups
	hooked     bool // the hooks have run
	hooksBegun bool // so poststop is due
	sent       bool // the process phase is under way
}

// boot makes the container up to its exec. The caller continues with the stage, or closes it.
func (rt *Runtime) boot(id string, opts *CreateOptions, park, detach bool) (*boot, error) {
	b := &boot{rt: rt, id: id, opts: opts, park: park, detach: detach}
	if err := b.run(); err != nil {
		b.undo()
		return nil, err
	}
	return b, nil
}

func (b *boot) run() error {
	if err := state.ValidateID(b.id); err != nil {
		return err
	}
	if err := checkKernel(); err != nil {
		return err
	}
	if err := b.load(); err != nil {
		return err
	}
	if err := b.checkTerminal(); err != nil {
		return err
	}
	if err := b.claim(); err != nil {
		return err
	}
	if err := b.compile(); err != nil {
		return err
	}
	if err := b.send(); err != nil {
		return err
	}
	if err := b.converse(); err != nil {
		return explainStart(err, b.arg0())
	}
	return nil
}

func (b *boot) arg0() string {
	if p := b.bundle.Spec.Process; p != nil && len(p.Args) > 0 {
		return p.Args[0]
	}
	return ""
}

// load starts the stage and reads the bundle meanwhile.
func (b *boot) load() error {
	files, err := b.opts.files()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	go func() {
		var err error
		b.stage, err = nsenter.Start(files)
		started <- err
	}()
	dir := b.opts.Bundle
	if dir == "" {
		dir = "."
	}
	loaded, err := bundle.Load(dir)
	if serr := <-started; err == nil {
		err = serr
	}
	b.bundle = loaded
	return err
}

// claim takes the id and keeps the configuration, so that whatever comes after can be cleaned up by its name alone.
func (b *boot) claim() error {
	dir, err := b.rt.store.Create(b.id)
	if err != nil {
		return err
	}
	b.dir = dir
	// Nobody but a forced delete can be there before us, and then the container is gone.
	if err := dir.TryLock(); err != nil {
		return err
	}
	return dir.SaveConfig(b.bundle.Raw)
}

func (b *boot) compile() error {
	spec := b.bundle.Spec
	facts, err := hostFacts(spec, b.bundle.Rootfs)
	if err != nil {
		return err
	}
	layout, err := cgroups.Detect()
	if err != nil {
		return err
	}
	if b.cgroup, err = cgroups.New(layout, cgroupConfig(b.rt, b.id, spec)); err != nil {
		return err
	}
	facts.Cgroups, facts.CgroupPaths = layout, b.cgroup.Paths()
	// Where the process can be cloned into its cgroup that has to be there first; elsewhere it is made beside the stage.
	if layout.Mode == cgroups.V2 {
		if err := b.createCgroup(); err != nil {
			return err
		}
		_, facts.IntoCgroup = b.cgroup.Dir()
	}
	b.plan, err = plan.Compile(&plan.Input{
		ID: b.id, Spec: spec, Bundle: b.bundle.Dir, Rootfs: b.bundle.Rootfs,
		NoPivot: b.opts.NoPivot, NoNewKeyring: b.opts.NoNewKeyring, PreserveFDs: b.opts.PreserveFDs, Park: b.park, Facts: facts,
	})
	return err
}

// intoCgroup tells whether the process is cloned into its cgroup.
func (b *boot) intoCgroup() bool {
	_, ok := b.cgroup.Dir()
	return ok
}

func (b *boot) createCgroup() error {
	if b.made {
		return nil
	}
	err := b.cgroup.Create()
	b.made = err == nil
	return err
}

func cgroupConfig(rt *Runtime, id string, spec *specs.Spec) *cgroups.Config {
	cfg := &cgroups.Config{ID: id, OCIVersion: spec.Version, Rootless: rt.opts.Rootless,
		Warn: func(w cgroups.Warning) { rt.log.Warn(w.String()) }}
	if spec.Linux != nil {
		cfg.Path, cfg.Resources = spec.Linux.CgroupsPath, spec.Linux.Resources
	}
	return cfg
}

// send opens what the plan needs and hands it over.
func (b *boot) send() error {
	fds := make([]int, 0, len(b.plan.Files))
	defer func() {
		for i, fd := range fds {
			if b.plan.Files[i].Kind != plan.CgroupDir { // the manager's own
				unix.Close(fd)
			}
		}
	}()
	for i := range b.plan.Files {
		fd, err := b.open(&b.plan.Files[i])
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	return b.stage.Send(b.plan.World, fds)
}

func (b *boot) open(f *plan.FileRef) (int, error) {
	switch f.Kind {
	case plan.Namespace:
		return openNamespace(f)
	case plan.CgroupDir:
		fd, ok := b.cgroup.Dir()
		if !ok {
			return -1, fmt.Errorf("%s: the cgroup has no directory", f.Field)
		}
		return fd, nil
	case plan.ExecFifo:
		uid, gid := b.rootOwner()
		if err := b.dir.MakeFifo(uid, gid); err != nil {
			return -1, err
		}
		file, err := b.dir.OpenFifoPath()
		if err != nil {
			return -1, err
		}
		defer file.Close()
		return unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	}
	return -1, fmt.Errorf("a plan asks for an unknown kind of descriptor (%d)", f.Kind)
}

// rootOwner is the container's root on the host, who opens the exec FIFO.
func (b *boot) rootOwner() (uid, gid int) {
	uid, gid = unix.Geteuid(), unix.Getegid()
	if m := b.plan.Mappings; m != nil && uid == 0 {
		for _, u := range m.UIDs {
			if u.ContainerID == 0 {
				uid = int(u.HostID)
			}
		}
		for _, g := range m.GIDs {
			if g.ContainerID == 0 {
				gid = int(g.HostID)
			}
		}
	}
	return uid, gid
}

func openNamespace(f *plan.FileRef) (int, error) {
	fd, err := unix.Open(f.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("%s: open %s: %w", f.Field, f.Path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %s is not a namespace", f.Field, f.Path)
	}
	typ, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err == nil && uint64(typ) != f.Type {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %s is a namespace of another type", f.Field, f.Path)
	}
	return fd, nil
}

// converse does davit's part while the stage does its own, until only the exec is left.
func (b *boot) converse() error {
	b.homeDone, b.hooked = !b.plan.Passwd, !b.plan.Hooks
	for {
		report, err := b.stage.Receive()
		if err == io.EOF {
			return b.died()
		}
		if err != nil {
			return err
		}
		switch r := report.(type) {
		case nsenter.Cloned:
			err = b.cloned(r.PID)
		case nsenter.File:
			err = b.received(r)
		case nsenter.Waiting:
			if err = b.runCreateHooks(); err == nil {
				err = b.stage.Release(r.Token)
			}
		case nsenter.Listener:
			err = b.sendListener(r.Fd)
		case nsenter.Ready:
			return b.ready()
		}
		if err == nil {
			err = b.sendProcess()
		}
		if err != nil {
			return err
		}
	}
}

// died explains why the conversation ended too early.
func (b *boot) died() error {
	b.stage.Reap()
	if b.pid == 0 {
		return errors.New("the stage ended before it made the container's process (is its memory limited, or a security module in the way?)")
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(b.pid, &ws, 0, nil); err == nil {
		b.pid = 0
		if ws.Signaled() && ws.Signal() == unix.SIGKILL {
			return errors.New("container init was OOM-killed (memory limit too low?)")
		}
		return fmt.Errorf("the container's process ended before its exec, with status %d", process.ExitCode(ws))
	}
	return errors.New("the container's process ended before its exec")
}

// cloned does what needs the process: mappings, cgroups, the record.
func (b *boot) cloned(pid int) error {
	b.pid = pid
	if m := b.plan.Mappings; m != nil {
		if err := writeMappings(pid, m, unix.Geteuid() == 0); err != nil {
			return err
		}
		if err := b.stage.Release(nsenter.TokenMapped); err != nil {
			return err
		}
	}
	if !b.intoCgroup() {
		if err := b.createCgroup(); err != nil {
			return err
		}
		if err := b.cgroup.Attach(pid); err != nil {
			return err
		}
	}
	if b.plan.Joins {
		if err := b.stage.Release(nsenter.TokenCgroupJoined); err != nil {
			return err
		}
	}
	// A process that isn't recorded doesn't outlive us: it still waits for the next phase.
	b.joined = true
	return b.save()
}

// save writes the state: from here on `delete` knows the process.
func (b *boot) save() error {
	id, err := process.Identify(b.pid)
	if err != nil {
		return err
	}
	spec := b.bundle.Spec
	b.record = &state.Record{
		OCIVersion: spec.Version, ID: b.id, Bundle: b.bundle.Dir, Rootfs: b.bundle.Rootfs, Init: id, Created: time.Now().UTC(),
		Annotations: spec.Annotations, CgroupPaths: b.cgroup.Paths(), Rootless: b.rt.opts.Rootless,
		NoPivot: b.opts.NoPivot, NoNewKeyring: b.opts.NoNewKeyring,
		SharedPID: !b.plan.PrivatePID, NoProcess: spec.Process == nil, StartHooks: hasStartHooks(spec.Hooks),
	}
	return b.dir.Save(b.record)
}

func (b *boot) received(f nsenter.File) error {
	switch f.Kind {
	case nsenter.FilePtyMaster:
		if f.Err != nil {
			return f.Err
		}
		b.master = os.NewFile(uintptr(f.Fd), "ptmx")
		return nil
	case nsenter.FilePasswd:
		b.homeDone = true
		if f.Err == nil {
			b.home = homeOf(f.Fd, b.bundle.Spec.Process.User.UID)
		}
		return nil
	}
	if f.Fd >= 0 {
		unix.Close(f.Fd)
	}
	return fmt.Errorf("the stage sent an unexpected file (%s)", f.Kind)
}

// sendProcess sends the process phase as soon as everything it needs is known.
func (b *boot) sendProcess() error {
	if b.sent || !b.homeDone || !b.hooked || !b.joined {
		return nil
	}
	b.sent = true
	if b.bundle.Spec.Process == nil {
		return b.stage.Send(b.plan.Idle(), nil)
	}
	late, err := b.late()
	if err != nil {
		return err
	}
	program, err := b.plan.Process(late)
	if err != nil {
		return err
	}
	for _, w := range b.plan.Warnings {
		b.rt.log.Warn(w.String())
	}
	return b.stage.Send(program, nil)
}

func (b *boot) late() (*plan.Late, error) {
	late := &plan.Late{Home: b.home}
	spec := b.bundle.Spec
	if spec.Linux != nil && spec.Linux.Seccomp != nil {
		filter, err := seccomp.Compile(spec.Linux.Seccomp, seccomp.Options{})
		if err != nil {
			return nil, err
		}
		for _, w := range filter.Warnings {
			b.rt.log.Debug(w)
		}
		late.Seccomp = &plan.Seccomp{Filter: filter.Program, Flags: uint64(filter.Flags), Notify: filter.Notify}
	}
	if p := spec.Process.ApparmorProfile; p != "" {
		a, err := apparmorLabel(p)
		if err != nil {
			return nil, err
		}
		late.AppArmor = a
	}
	return late, nil
}

// ready hands the terminal over and tells the engine the pid: all is done but the exec.
func (b *boot) ready() error {
	if err := b.connectTerminal(); err != nil {
		return err
	}
	if b.opts.PIDFile != "" {
		return writePIDFile(b.opts.PIDFile, b.pid)
	}
	return nil
}

// undo leaves the host as if nothing had been tried (runtime.md, Errors).
func (b *boot) undo() {
	if b.stage != nil {
		b.stage.Close()
	}
	b.closeTerminal()
	if b.pid > 0 {
		_ = unix.Kill(b.pid, unix.SIGKILL) // our child, not yet reaped: the pid is its own
		_, _ = unix.Wait4(b.pid, nil, 0, nil)
	}
	if b.cgroup != nil {
		if b.made {
			_ = b.cgroup.Kill(unix.SIGKILL)
			if err := b.cgroup.Destroy(); err != nil {
				b.rt.log.Warn("clean up: " + err.Error())
			}
		}
		b.cgroup.Close()
	}
	if b.hooksBegun {
		b.rt.poststop(b.bundle.Spec, b.record)
	}
	if b.dir != nil {
		if err := b.dir.Remove(); err != nil {
			b.rt.log.Warn("clean up: " + err.Error())
		}
		b.dir.Close()
	}
}
