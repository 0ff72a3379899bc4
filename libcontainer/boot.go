package libcontainer

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/cgroups/systemd"
	"davit/libcontainer/bundle"
	"davit/libcontainer/intelrdt"
	"davit/libcontainer/netdevice"
	"davit/libcontainer/plan"
	"davit/libcontainer/process"
	"davit/libcontainer/state"
	"davit/libcontainer/usermap"
	"davit/nsenter"
)

// boot makes one container, from the bundle to a process that waits for its
// exec. What it made is undone by undo, in whatever order it got there.
type boot struct {
	launch
	id     string
	opts   *CreateOptions
	park   bool // leave the process on the exec FIFO; otherwise it waits to be released
	bundle *bundle.Bundle
	dir    *state.Dir

	devices *netdevice.Moved // those that are in the container, until it is sure to exist

	rdt     *intelrdt.Group // its class of service, if it has one
	undoRdt func() error    // undoes the making of it

	ids        idNamespaces // that mounts take their mappings from
	made       bool         // the cgroups are made
	attached   bool         // the process is in them, or is made there
	hooksBegun bool         // so poststop is due
	restored   bool         // the process comes from a checkpoint, and not from a stage
}

// boot makes the container up to its exec. The caller continues with the stage, or closes it.
func (rt *Runtime) boot(id string, opts *CreateOptions, park, detach bool) (*boot, error) {
	b := &boot{launch: launch{rt: rt, opts: &opts.ProcessOptions, kind: "standard", detach: detach, held: park || opts.NotifySocket != ""}, id: id, opts: opts, park: park}
	if err := b.run(); err != nil {
		b.undo()
		return nil, err
	}
	b.keepDevices()
	return b, nil
}

func (b *boot) run() error {
	if err := state.ValidateID(b.id); err != nil {
		return err
	}
	if err := checkKernel(); err != nil {
		return err
	}
	if err := b.step("start the stage", b.startStage); err != nil {
		return err
	}
	if err := b.step("load config.json", b.load); err != nil {
		return err
	}
	if err := b.checkTerminal(); err != nil {
		return err
	}
	if err := b.namespacesAhead(); err != nil {
		return err
	}
	if err := b.step("claim the id", b.claim); err != nil {
		return err
	}
	if err := b.offerNotify(); err != nil {
		return err
	}
	if err := b.step("compile the plan", b.compile); err != nil {
		return err
	}
	defer b.ids.close()
	return b.execute(b)
}

func (b *boot) load() error {
	dir := b.opts.Bundle
	if dir == "" {
		dir = "."
	}
	loaded, err := bundle.Load(dir)
	if err != nil {
		return err
	}
	b.bundle, b.spec = loaded, loaded.Spec
	return nil
}

// namespacesAhead lets a stage that lives already make namespaces beside what davit does next.
func (b *boot) namespacesAhead() error {
	flags := plan.Ahead(b.spec)
	if b.starting != nil || flags == 0 {
		return nil
	}
	return b.stage.Ahead(flags)
}

// claim takes the id and keeps the configuration, so that whatever comes after can be cleaned up by its name alone.
func (b *boot) claim() error {
	dir, err := b.rt.store.Create(b.id)
	if err != nil {
		return err
	}
	b.dir = dir
	// Somebody who looks for the container may hold the lock for a moment; a forced delete leaves nothing to lock.
	if err := lock(dir); err != nil {
		return err
	}
	return dir.SaveConfig(b.bundle.Raw)
}

func (b *boot) compile() error {
	facts, err := hostFacts(b.spec, b.bundle.Rootfs)
	if err != nil {
		return err
	}
	layout, err := cgroups.Detect()
	if err != nil {
		return err
	}
	cfg := cgroupConfig(b.rt, b.id, b.spec)
	cfg.Beside = b.dir.SaveCgroup
	if b.cgroup, err = cgroups.New(layout, cfg); err != nil {
		return err
	}
	// Where the process can be cloned into its cgroup that has to be there first, and so has one that may be denied,
	// for a mount to show another; elsewhere it is made beside the stage.
	denied := (b.rt.opts.Rootless || b.rt.opts.NoCgroups) && mountsCgroups(b.spec)
	if layout.Mode == cgroups.V2 || denied {
		if err := b.createCgroup(); err != nil {
			return err
		}
	}
	if layout.Mode == cgroups.V2 {
		_, into := b.cgroup.Dir()
		facts.IntoCgroup = into && !ownedInside(b.spec)
		b.attached = facts.IntoCgroup
	}
	facts.Cgroups, facts.CgroupPaths = layout, b.cgroup.Paths()
	if denied {
		if facts.CallerCgroups, err = cgroups.CallerPaths(layout); err != nil {
			return err
		}
	}
	b.plan, err = plan.Compile(&plan.Input{
		ID: b.id, Spec: b.spec, Bundle: b.bundle.Dir, Rootfs: b.bundle.Rootfs,
		NoPivot: b.opts.NoPivot, NoNewKeyring: b.opts.NoNewKeyring, Inherited: b.opts.extra(), ExtraEnv: b.opts.environment(), Park: b.park, Facts: facts,
	})
	return err
}

// mountsCgroups tells whether the container is shown a filesystem of cgroups.
func mountsCgroups(spec *specs.Spec) bool {
	return slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" || m.Type == "cgroup2" })
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
	cfg := &cgroups.Config{ID: id, OCIVersion: spec.Version, Rootless: rt.opts.Rootless, Owner: cgroups.Owner(spec),
		Annotations: spec.Annotations, Warn: func(w cgroups.Warning) { rt.log.Warn(w.String()) }}
	if spec.Linux != nil {
		cfg.Path, cfg.Resources = spec.Linux.CgroupsPath, spec.Linux.Resources
	}
	cfg.Disabled = rt.opts.NoCgroups
	if rt.opts.SystemdCgroup {
		cfg.Systemd = systemd.New(rt.opts.SystemdUser)
	}
	return cfg
}

func (b *boot) open(f *plan.FileRef) (int, error) {
	switch f.Kind {
	case plan.Namespace:
		fd, err := openNamespace(f)
		if err == nil {
			err = b.checkForeign(fd, f)
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	case plan.MountClone:
		return cloneMount(f, &b.ids)
	case plan.UserNamespace:
		fd, err := b.ids.open(f)
		if err != nil {
			return -1, err
		}
		return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	case plan.ExecFifo:
		uid, gid := b.rootOwner()
		return makeFifo(b.dir, uid, gid)
	}
	return -1, fmt.Errorf("a plan asks for an unknown kind of descriptor (%d)", f.Kind)
}

// makeFifo makes the exec FIFO of a process that is to wait for its start, and opens it as a path.
func makeFifo(dir *state.Dir, uid, gid int) (int, error) {
	if err := dir.MakeFifo(uid, gid); err != nil {
		return -1, err
	}
	f, err := dir.OpenFifoPath()
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
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

// hostsMounts tells whether a mount namespace is davit's own, or that of the system's first process.
func hostsMounts(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return true
	}
	for _, p := range []string{"/proc/self/ns/mnt", "/proc/1/ns/mnt"} {
		var host unix.Stat_t
		if unix.Stat(p, &host) == nil && host.Ino == st.Ino && host.Dev == st.Dev {
			return true
		}
	}
	return false
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
	if f.Type == unix.CLONE_NEWNS && hostsMounts(fd) {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %s is the host's mount namespace: the container's root would take the place of the host's", f.Field, f.Path)
	}
	return fd, nil
}

// cloned does what needs the process: mappings, cgroups, the record.
func (b *boot) cloned() error {
	// A user's systemd moves that user's processes only, and a mapping may make this one another's.
	if b.rt.opts.SystemdCgroup && b.rt.opts.SystemdUser {
		if err := b.join(); err != nil {
			return err
		}
	}
	if m := b.plan.Mappings; m != nil {
		if err := usermap.Write(b.pid, m.UIDs, m.GIDs, unix.Geteuid() == 0); err != nil {
			return err
		}
		if err := b.stage.Release(nsenter.TokenMapped); err != nil {
			return err
		}
	}
	if err := b.join(); err != nil {
		return err
	}
	if b.plan.Joins {
		if err := b.stage.Release(nsenter.TokenCgroupJoined); err != nil {
			return err
		}
	}
	if err := b.joinResctrl(); err != nil {
		return err
	}
	if err := b.moveDevices(); err != nil {
		return err
	}
	// A process that isn't recorded doesn't outlive us: it still waits for the next phase.
	b.joined = true
	return b.save()
}

// ownedInside tells whether the cgroup belongs to the root of a user namespace
// that is joined. The stage has joined it when it clones, and has no right to
// that cgroup any more.
func ownedInside(spec *specs.Spec) bool {
	return cgroups.Owner(spec) != nil && slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.UserNamespace && n.Path != ""
	})
}

// join has the process join its cgroups, unless it was cloned into them.
func (b *boot) join() error {
	if b.attached {
		return nil
	}
	if err := b.createCgroup(); err != nil {
		return err
	}
	b.attached = true
	return b.cgroup.Attach(b.pid)
}

// save records the process: from here on `delete` knows it, and others know that
// it isn't to be joined yet.
func (b *boot) save() error {
	id, err := process.Identify(b.pid)
	if err != nil {
		return err
	}
	spec := b.spec
	b.record = &state.Record{
		OCIVersion: spec.Version, ID: b.id, Bundle: b.bundle.Dir, Rootfs: b.bundle.Rootfs, Init: id, Created: time.Now().UTC(),
		Annotations: spec.Annotations, CgroupPaths: b.cgroup.Paths(), SystemdCgroup: b.rt.opts.SystemdCgroup, Rootless: b.rt.opts.Rootless,
		NoPivot: b.opts.NoPivot, NoNewKeyring: b.opts.NoNewKeyring,
		SharedPID: !b.plan.PrivatePID, NoProcess: spec.Process == nil, StartHooks: hasStartHooks(spec.Hooks), Listener: hasListener(spec),
		Restored: b.restored,
	}
	if b.rdt != nil {
		b.record.IntelRdtClass, b.record.IntelRdtOwned, b.record.IntelRdtMonitored = b.rdt.Class, b.rdt.Owned, b.rdt.Monitored
	}
	return b.dir.Begin(b.record)
}

// confined makes the container one that others can join and start: its process
// has its root and all its confinement, and has nothing left to do but the exec.
func (b *boot) confined() error {
	if h := b.spec.Hooks; !b.park && h != nil && len(h.StartContainer) > 0 {
		// For these hooks the container is created, and that is what tells (runtime.md, State).
		if err := b.dir.MakeFifo(unix.Geteuid(), unix.Getegid()); err != nil {
			return err
		}
	}
	return b.dir.Finish()
}

func (b *boot) waiting(nsenter.Token) error { return b.runCreateHooks() }

// undo leaves the host as if nothing had been tried (runtime.md, Errors).
func (b *boot) undo() {
	b.returnDevices()
	b.abandon()
	if b.dir != nil && !b.dir.Held() { // somebody has removed it, and the name may be another's
		if b.cgroup != nil {
			b.cgroup.Close()
		}
		b.dir.Close()
		return
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
	b.leaveResctrl()
	if b.hooksBegun {
		b.rt.poststop(b.spec, b.record)
	}
	if b.dir != nil {
		if err := b.dir.Remove(); err != nil {
			b.rt.log.Warn("clean up: " + err.Error())
		}
		b.dir.Close()
	}
}
