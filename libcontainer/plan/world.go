package plan

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// filesystems compiles the container's file tree: from the caller's mounts to the new root directory.
func (c *compiler) filesystems() error {
	if !c.ns.has(unix.CLONE_NEWNS) {
		return c.hostMounts()
	}
	if err := c.root(); err != nil {
		return err
	}
	c.ownsDev = ownsDev(c.spec.Mounts)
	if err := c.mounts(); err != nil {
		return err
	}
	c.cgroupNamespace()
	if err := c.devices(); err != nil {
		return err
	}
	c.terminal()
	if err := c.prepare(); err != nil {
		return err
	}
	c.paths()
	c.pivot()
	return nil
}

// hostMounts is for a container in the caller's mount namespace: nothing may be mounted there.
func (c *compiler) hostMounts() error {
	field := ""
	switch {
	case len(c.spec.Mounts) > 0:
		field = "mounts"
	case len(c.linux.MaskedPaths) > 0:
		field = "linux.maskedPaths"
	case len(c.linux.ReadonlyPaths) > 0:
		field = "linux.readonlyPaths"
	case c.linux.RootfsPropagation != "":
		field = "linux.rootfsPropagation"
	case c.spec.Root.Readonly:
		field = "root.readonly"
	case c.spec.Process != nil && c.spec.Process.Terminal:
		field = "process.terminal"
	}
	if field != "" {
		return &Error{field, "would change the host's mounts: it needs a mount namespace", `add {"type": "mount"} to linux.namespaces`}
	}
	c.hostTree, c.ownsDev = true, true
	c.add("root.path", nsenter.Rootfs{Path: c.in.Rootfs})
	c.cgroupNamespace()
	if err := c.devices(); err != nil {
		return err
	}
	if err := c.prepare(); err != nil {
		return err
	}
	c.add("root.path", nsenter.Chroot{})
	return nil
}

// prepare compiles what comes between the mounts and what makes them read-only.
func (c *compiler) prepare() error {
	c.workingDirectory()
	c.homeDirectory()
	c.hooks()
	if err := c.netDevices(); err != nil {
		return err
	}
	return c.sysctls()
}

// netDevices waits for the devices that davit moves beside the stage: sysctls may be about them.
func (c *compiler) netDevices() error {
	if len(c.linux.NetDevices) == 0 {
		return nil
	}
	const field = "linux.netDevices"
	if !c.ns.has(unix.CLONE_NEWNET) {
		return &Error{field, "there is no network namespace to move devices to", `add {"type": "network"} to linux.namespaces`}
	}
	c.add(field, nsenter.Wait{Token: uint64(nsenter.TokenDevicesMoved)})
	return nil
}

// RootfsMountNeeded tells whether the mount that holds the rootfs stays shared
// with the host under a linux.rootfsPropagation unless it is changed by its own path.
func RootfsMountNeeded(value string) bool { return propagation(value)&unix.MS_SHARED != 0 }

// spread is the propagation that all mounts get that the container takes over from the host, 0 for what they have there.
func (c *compiler) spread() uint64 {
	switch flags := propagation(c.linux.RootfsPropagation); {
	case flags == unix.MS_PRIVATE|msRec:
		return flags
	case RootfsMountNeeded(c.linux.RootfsPropagation):
		return 0
	}
	return unix.MS_SLAVE | msRec
}

// root compiles how mounts propagate from and to the host, and the container's root.
//
// By default the host's later mounts and unmounts reach the container, and
// nothing that the container mounts reaches the host. linux.rootfsPropagation
// is about the container's root mount; it is set there when it has become the
// root (pivot). Only "shared" has to leave the peer groups with the host, for
// the bind mounts that propagate both ways, and a recursive "private" means
// every mount of the container from the beginning.
func (c *compiler) root() error {
	const field = "linux.rootfsPropagation"
	flags := c.spread()
	value := c.linux.RootfsPropagation
	wanted := propagation(value)
	switch {
	case value == "":
	case wanted == 0:
		return fail(field, "unknown propagation %q", value)
	case RootfsMountNeeded(value):
		if c.in.NoPivot {
			// What has to be unmounted before the root can be moved would be unmounted on the host too.
			return &Error{field, "a shared root needs pivot_root(2)", "leave --no-pivot out, or choose another propagation"}
		}
		if c.in.Facts.RootfsMount == "" {
			return fail(field, "the mount that holds the rootfs is not known")
		}
		// What is attached below a shared mount would appear on the host, and pivot_root(2) refuses one.
		c.add(field, nsenter.Propagation{Path: "/", Flags: wanted})
		c.add(field, nsenter.Propagation{Path: c.in.Facts.RootfsMount, Flags: unix.MS_PRIVATE})
	}
	if flags != 0 {
		c.add(field, nsenter.Propagation{Path: "/", Flags: flags})
	}
	c.add("root.path", nsenter.Rootfs{Path: c.in.Rootfs, Clone: 1})
	if c.in.Park && c.ns.made(unix.CLONE_NEWNS) && !c.ns.made(unix.CLONE_NEWPID) && !c.plan.userns {
		// With CAP_SYS_PTRACE, others in the PID namespace may look at the descriptors of what waits there for its start; not from inside a user namespace.
		c.add("", nsenter.OwnFiles{})
	}
	return nil
}

func (c *compiler) terminal() {
	p := c.spec.Process
	if p == nil || !p.Terminal {
		return
	}
	op := nsenter.Pty{Console: 1, UID: uint64(p.User.UID)}
	if p.ConsoleSize != nil {
		op.Rows, op.Columns = uint64(p.ConsoleSize.Height), uint64(p.ConsoleSize.Width)
	}
	c.plan.Terminal = true
	c.add("process.terminal", op)
}

// workingDirectory makes process.cwd where the image lacks it, as engines expect.
func (c *compiler) workingDirectory() {
	if p := c.spec.Process; p != nil && path.Clean(p.Cwd) != "/" {
		c.add("process.cwd", nsenter.Mkdir{Path: p.Cwd, Mode: 0o755})
	}
}

func (c *compiler) homeDirectory() {
	if p := c.spec.Process; p != nil && !hasHome(p.Env) {
		c.plan.Passwd = true
		c.add("process.user", nsenter.SendFile{Path: "etc/passwd", Kind: uint64(nsenter.FilePasswd)})
	}
}

// hooks waits for prestart, createRuntime and createContainer: after the mounts, before pivot_root (runtime.md, Lifecycle).
func (c *compiler) hooks() {
	h := c.spec.Hooks
	if h == nil || len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) == 0 {
		return
	}
	c.plan.Hooks = true
	c.add("hooks", nsenter.Sync{Token: uint64(nsenter.TokenHooksRun)})
}

// sysctls compiles linux.sysctl in the order of the keys; the config check has seen to it that all are namespaced.
func (c *compiler) sysctls() error {
	for _, k := range slices.Sorted(maps.Keys(c.linux.Sysctl)) {
		field := "linux.sysctl[" + strconv.Quote(k) + "]"
		p := "sys/" + sysctlPath(k)
		if path.Clean(p) != p || !strings.HasPrefix(p, "sys/") {
			return fail(field, "is no name of a kernel parameter")
		}
		c.add(field, nsenter.Sysctl{Path: p, Value: c.linux.Sysctl[k]})
	}
	return nil
}

// sysctlPath turns a key into a path. As in sysctl.d(5) the first separator
// decides: after a slash, dots are part of names; after a dot the two change places.
func sysctlPath(key string) string {
	i := strings.IndexAny(key, "./")
	if i < 0 || key[i] == '/' {
		return key
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

func (c *compiler) paths() {
	var label string
	if c.linux.MountLabel != "" {
		label = "context=" + c.linux.MountLabel
	}
	for i, p := range c.linux.MaskedPaths {
		c.add(item("linux.maskedPaths", i, ""), nsenter.Mask{Path: p, Label: label})
	}
	for i, p := range c.linux.ReadonlyPaths {
		c.add(item("linux.readonlyPaths", i, ""), nsenter.ReadOnly{Path: p})
	}
	c.plan.World = append(c.plan.World, c.late...)
	if c.spec.Root.Readonly {
		c.add("root.readonly", nsenter.RootAttr{Set: unix.MOUNT_ATTR_RDONLY})
	}
}

func (c *compiler) pivot() {
	c.add("root.path", nsenter.Pivot{NoPivot: boolean(c.in.NoPivot)})
	switch flags := propagation(c.linux.RootfsPropagation); flags {
	case 0, unix.MS_SLAVE, unix.MS_SLAVE | msRec, unix.MS_PRIVATE | msRec:
		// What root has set for all mounts.
	default:
		c.add("linux.rootfsPropagation", nsenter.RootPropagation{Flags: flags})
	}
}
