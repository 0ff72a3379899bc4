package plan

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

func (c *compiler) mounts() error {
	for i := range c.spec.Mounts {
		m := &c.spec.Mounts[i]
		if err := c.mount(item("mounts", i, m.Destination), i, m); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) mount(field string, i int, m *specs.Mount) error {
	o := parseOptions(m.Options)
	ids, err := c.idMap(field, m, &o)
	if err != nil {
		return err
	}
	switch {
	case o.unsupported != "":
		return fail(field, "option %q of mount(8) is not supported", o.unsupported)
	case o.copyUp && (o.bind || o.remount || m.Type != "tmpfs"):
		return fail(field, "option tmpcopyup is for a new tmpfs only")
	case o.mixed:
		return fail(field, "contradicting kinds of propagation (slave and shared can be combined, with or without an r both)")
	case insideRoot(m.Destination) == "/" && !o.remount && i > 0:
		return fail(field, "a mount on the root directory would hide the mounts before it: list it first")
	case o.remount:
		return c.remount(field, m, &o)
	case o.bind:
		return c.bind(field, m, &o, ids)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		return c.cgroupMount(field, m, &o)
	case m.Type == "sysfs" && c.foreignNetwork():
		return c.callersSysfs(field, m, &o)
	}
	c.newMount(field, i, m, &o)
	return nil
}

// target is a destination as the stage takes it, who has to know the root directory.
func target(m *specs.Mount) string {
	if insideRoot(m.Destination) == "/" {
		return "/"
	}
	return m.Destination
}

// insideRoot is a path of the container, lexically clean. Relative destinations start at "/" (config.md, Mounts).
func insideRoot(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return path.Clean(p)
}

// remount has the meaning of MS_REMOUNT: all flags that aren't given are cleared, but for the one of access times.
func (c *compiler) remount(field string, m *specs.Mount, o *mountOptions) error {
	if o.tree != (attributes{}) {
		return fail(field, "a remount changes one mount only, options of a whole tree such as rro have to be given when it is made")
	}
	op := nsenter.Remount{Target: target(m), Flags: o.own.msFlags() | o.super, Data: strings.Join(o.data, ","), Propagation: o.propagation}
	if o.bind {
		op.Flags |= unix.MS_BIND
	}
	c.add(field, op)
	return nil
}

func (c *compiler) bind(field string, m *specs.Mount, o *mountOptions, ids *IDMap) error {
	source := m.Source
	if source == "" && ids != nil && insideRoot(m.Destination) == "/" {
		source = c.in.Rootfs // the rootfs itself, with its ids mapped
	}
	if source == "" {
		return fail(field, "a bind mount needs a source")
	}
	if err := noFilesystemOption(field, o); err != nil {
		return err
	}
	if !filepath.IsAbs(source) {
		source = filepath.Join(c.in.Bundle, source)
	}
	op := nsenter.Bind{
		Target: target(m), Source: source, Fd: nsenter.None, Recursive: boolean(o.recursive),
		RSet: o.tree.set, RClear: o.tree.clear, Propagation: o.propagation, NoSymlinks: kernelDirectory(m),
	}
	if ids != nil || c.clones() {
		clone := FileRef{Kind: MountClone, Path: source, Recursive: o.recursive, IDs: ids, MapTree: o.idmapTree, Spread: c.spread(), Field: field}
		if clone.Spread == 0 && c.plan.userns {
			clone.Spread = unix.MS_SLAVE | msRec // as the kernel does where a mount namespace gets another owner
		}
		op.Fd = c.file(clone)
	}
	if ids != nil {
		op.Source = "" // the stage's own clone would have its ids as they are
	}
	if o.own != o.tree {
		op.Set, op.Clear = o.own.set, o.own.clear
	}
	c.add(field, op)
	return nil
}

// clones tells whether davit clones what is to be bound, beside the stage: the
// way to a source may be closed to the container's root, who isn't the caller
// any more. There is room for so many; what comes behind has to be open to it.
func (c *compiler) clones() bool {
	const others = 16 // that come later, such as the exec FIFO
	return c.plan.userns && c.in.Facts.EUID == 0 && !c.in.Facts.ForeignMounts && len(c.plan.Files) < nsenter.MaxSlots-others
}

// kernelDirectory tells (1) whether a mount belongs on /proc or /sys: were that
// a link, it would end up in a place of the image's choice, and what counts on
// it would see the image's files (CVE-2019-19921, CVE-2023-27561).
func kernelDirectory(m *specs.Mount) uint64 {
	at := insideRoot(m.Destination)
	return boolean(m.Type == "proc" || m.Type == "sysfs" || at == "/proc" || at == "/sys")
}

// noFilesystemOption is for binds: they show a filesystem that is mounted already, whose options stay.
func noFilesystemOption(field string, o *mountOptions) error {
	if opt := o.filesystemOption(); opt != "" {
		return fail(field, "option %q belongs to the filesystem, a bind mount of it can't change it", opt)
	}
	return nil
}

// filesystem is the instruction that makes a mount of a filesystem.
func (c *compiler) filesystem(m *specs.Mount, o *mountOptions) nsenter.Mount {
	op := nsenter.Mount{
		Target: target(m), Type: m.Type, Source: m.Source, Options: c.fsOptions(m.Type, o.data), Attr: o.own.set, Super: o.super,
		Propagation: o.propagation, NoSymlinks: kernelDirectory(m),
	}
	switch label := c.linux.MountLabel; {
	case label == "" || m.Type == "proc" || m.Type == "sysfs":
		// The kernel labels these itself.
	case m.Type == "mqueue":
		// An IPC namespace has one, that exists already: it takes no option.
		op.Label = label
	default:
		op.Options = append(op.Options[:len(op.Options):len(op.Options)], c.context+"="+label)
	}
	return op
}

func (c *compiler) newMount(field string, i int, m *specs.Mount, o *mountOptions) {
	op := c.filesystem(m, o)
	made, ahead := c.ahead[i]
	if m.Type == "tmpfs" && !ahead {
		op.Keep = c.keep(field, o.copyUp, op.Options)
	}
	last := nsenter.Instr{Field: field, Op: nsenter.Remount{Target: target(m), Flags: unix.MS_BIND | o.own.msFlags()}}
	// To a read-only mount nothing can be done any more.
	soon := o.own.readOnly() && (op.Keep != 0 || ahead)
	switch {
	case !o.own.readOnly():
	case c.readOnlyLast(i, m):
		op.Attr &^= unix.MOUNT_ATTR_RDONLY
		c.late, soon = append(c.late, last), false
	case soon:
		op.Attr &^= unix.MOUNT_ATTR_RDONLY
	case ownSuperblock(m.Type):
		op.Super |= unix.MS_RDONLY
	}
	if ahead {
		c.add(field, nsenter.Bind{Target: target(m), Fd: made, Propagation: o.propagation})
	} else {
		c.add(field, op)
	}
	if soon {
		c.plan.World = append(c.plan.World, last)
	}
}

// What a new tmpfs takes over from the directory in whose place it is mounted.
const (
	keepMode = 1 << iota
	keepOwner
	keepContent
)

// keep chooses what a tmpfs takes over: with tmpcopyup all of it, and the mode
// always, because an image's directory says who may write there. Options that
// set an owner or mode go first.
func (c *compiler) keep(field string, copyUp bool, options []string) uint64 {
	keep := uint64(keepMode)
	if copyUp {
		// The content is paid for by the container's memory limit.
		c.cgroupJoined(field)
		keep |= keepOwner | keepContent
	}
	for _, opt := range options {
		switch key, _, _ := strings.Cut(opt, "="); key {
		case "mode":
			keep &^= keepMode
		case "uid", "gid":
			keep &^= keepOwner
		}
	}
	return keep
}

// ownSuperblock tells whether a mount of this type makes a filesystem of its
// own, which "ro" makes read-only as a whole. The others are views of one that
// exists already, where only this mount may become read-only.
func ownSuperblock(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "debugfs", "tracefs", "securityfs", "bpf":
		return false
	}
	return true
}

// readOnlyLast tells whether a read-only mount becomes so at the end only: a
// tmpfs starts empty, so the mount points of later mounts have to be made in
// it, and the container's devices in /dev. One that a later mount hides or
// changes is left alone: at the end its path leads to that one.
func (c *compiler) readOnlyLast(i int, m *specs.Mount) bool {
	at := insideRoot(m.Destination)
	if m.Type != "tmpfs" && !(at == "/dev" && c.ownsDev) {
		return false
	}
	for j := i + 1; j < len(c.spec.Mounts); j++ {
		if below(at, insideRoot(c.spec.Mounts[j].Destination)) {
			return false
		}
	}
	return true
}

// below tells whether a clean path is dir or inside of it.
func below(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}
