package plan

import (
	"fmt"
	"path"
	"sort"
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
	if err := c.mounts(); err != nil {
		return err
	}
	c.cgroupNamespace()
	if c.ownsDev() {
		if err := c.devices(); err != nil {
			return err
		}
	}
	c.terminal()
	c.workingDirectory()
	c.homeDirectory()
	c.hooks()
	if err := c.sysctls(); err != nil {
		return err
	}
	c.paths()
	c.pivot()
	return nil
}

// hostMounts is for a container in the caller's mount namespace: nothing may be mounted there.
func (c *compiler) hostMounts() error {
	const reason = "would change the host's mounts: it needs a mount namespace"
	switch {
	case len(c.spec.Mounts) > 0:
		return fail("mounts", reason)
	case len(c.linux.MaskedPaths) > 0:
		return fail("linux.maskedPaths", reason)
	case len(c.linux.ReadonlyPaths) > 0:
		return fail("linux.readonlyPaths", reason)
	case c.linux.RootfsPropagation != "":
		return fail("linux.rootfsPropagation", reason)
	case c.spec.Root.Readonly:
		return fail("root.readonly", reason)
	case c.spec.Process != nil && c.spec.Process.Terminal:
		return fail("process.terminal", reason)
	}
	c.add("root.path", nsenter.Rootfs{Path: c.in.Rootfs})
	c.cgroupNamespace()
	c.workingDirectory()
	c.homeDirectory()
	c.hooks()
	if err := c.sysctls(); err != nil {
		return err
	}
	c.add("root.path", nsenter.Chroot{})
	return nil
}

func rootPropagation(value string) (uint64, error) {
	switch value {
	case "", "rslave":
		// By default nothing that the container mounts reaches the host, and unmounts on the host reach the container.
		return unix.MS_SLAVE | unix.MS_REC, nil
	case "slave":
		return unix.MS_SLAVE, nil
	case "private":
		return unix.MS_PRIVATE, nil
	case "rprivate":
		return unix.MS_PRIVATE | unix.MS_REC, nil
	case "shared":
		return unix.MS_SHARED, nil
	case "rshared":
		return unix.MS_SHARED | unix.MS_REC, nil
	case "unbindable":
		return unix.MS_UNBINDABLE, nil
	case "runbindable":
		return unix.MS_UNBINDABLE | unix.MS_REC, nil
	}
	return 0, fail("linux.rootfsPropagation", "unknown propagation %q", value)
}

// RootfsMountNeeded tells whether the mount that holds the rootfs stays shared
// with the host under a linux.rootfsPropagation unless it is changed by its own path.
func RootfsMountNeeded(value string) bool {
	flags, err := rootPropagation(value)
	return err == nil && (flags&unix.MS_REC == 0 || flags&unix.MS_SHARED != 0)
}

func (c *compiler) root() error {
	const field = "linux.rootfsPropagation"
	flags, err := rootPropagation(c.linux.RootfsPropagation)
	if err != nil {
		return err
	}
	if flags&unix.MS_UNBINDABLE != 0 {
		// Unbindable mounts can't be cloned into the container; the root becomes so at the end.
		flags = unix.MS_PRIVATE | flags&msRec
	}
	c.add(field, nsenter.Propagation{Path: "/", Flags: flags})
	if RootfsMountNeeded(c.linux.RootfsPropagation) {
		if c.in.Facts.RootfsMount == "" {
			return fail(field, "the mount that holds the rootfs is not known")
		}
		// What is attached below a shared mount would appear on the host, and pivot_root(2) refuses it.
		own := uint64(unix.MS_PRIVATE)
		if flags&unix.MS_SLAVE != 0 {
			own = unix.MS_SLAVE
		}
		c.add(field, nsenter.Propagation{Path: c.in.Facts.RootfsMount, Flags: own})
	}
	c.add("root.path", nsenter.Rootfs{Path: c.in.Rootfs, Clone: 1})
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
	if p := c.spec.Process; p != nil && lookupEnv(p.Env, "HOME") == "" {
		c.plan.Passwd = true
		c.add("process.user", nsenter.SendFile{Path: "etc/passwd", Kind: uint64(nsenter.FilePasswd)})
	}
}

// hooks waits for prestart, createRuntime and createContainer: after the mounts, before pivot_root (runtime.md, Lifecycle).
func (c *compiler) hooks() {
	h := c.spec.Hooks
	//nolint:staticcheck // prestart is deprecated but has to be run.
	if h == nil || len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) == 0 {
		return
	}
	c.plan.Hooks = true
	c.add("hooks", nsenter.Sync{Token: uint64(nsenter.TokenHooksRun)})
}

// sysctls compiles linux.sysctl in the order of the keys; the config check has seen to it that all are namespaced.
func (c *compiler) sysctls() error {
	keys := make([]string, 0, len(c.linux.Sysctl))
	for k := range c.linux.Sysctl {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		field := fmt.Sprintf("linux.sysctl[%q]", k)
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
	if c.in.Facts.SELinux && c.linux.MountLabel != "" {
		label = "context=" + c.linux.MountLabel
	}
	for i, p := range c.linux.MaskedPaths {
		c.add(fmt.Sprintf("linux.maskedPaths[%d]", i), nsenter.Mask{Path: p, Label: label})
	}
	for i, p := range c.linux.ReadonlyPaths {
		c.add(fmt.Sprintf("linux.readonlyPaths[%d]", i), nsenter.ReadOnly{Path: p})
	}
	for i, m := range c.spec.Mounts {
		// A read-only /dev had to be writable until its nodes were made.
		if c.delayedReadOnly(&m) {
			c.add(fmt.Sprintf("mounts[%d].options", i), nsenter.ReadOnly{Path: m.Destination})
		}
	}
	if c.spec.Root.Readonly {
		c.add("root.readonly", nsenter.RootAttr{Set: unix.MOUNT_ATTR_RDONLY})
	}
}

func (c *compiler) pivot() {
	c.add("root.path", nsenter.Pivot{NoPivot: boolean(c.in.NoPivot)})
	if v := c.linux.RootfsPropagation; v != "" && v != "rslave" {
		flags, _ := rootPropagation(v) // root() has seen it
		c.add("linux.rootfsPropagation", nsenter.RootPropagation{Flags: flags})
	}
}

func lookupEnv(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}
