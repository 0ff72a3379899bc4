package plan

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// foreignNetwork tells whether the container's user namespace can't mount a
// sysfs: it shows a network namespace, which has to belong to the user
// namespace (user_namespaces(7)). What exists before a new one never does.
func (c *compiler) foreignNetwork() bool {
	return c.plan.userns && !c.ns.has(unix.CLONE_NEWNET) || c.ns.made(unix.CLONE_NEWUSER) && !c.ns.made(unix.CLONE_NEWNET)
}

// callersSysfs binds the caller's /sys in the place of a sysfs that the
// container can't have. It is read-only as a whole: what is mounted on it, such
// as the host's cgroups, is not the container's (CVE-2023-25809).
func (c *compiler) callersSysfs(field string, m *specs.Mount, o *mountOptions) error {
	if opt := o.filesystemOption(); opt != "" {
		return fail(field, "option %q is not one of sysfs", opt)
	}
	c.plan.Warnings = append(c.plan.Warnings, &Warning{field, "a sysfs of the container's own needs a network namespace of the user namespace: /sys of the caller is bound instead, read-only"})
	attr := o.own
	attr.on(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	op := nsenter.Bind{Target: m.Destination, Source: "/sys", Fd: nsenter.None, RSet: attr.set, RClear: attr.clear, Propagation: o.propagation, NoSymlinks: 1}
	// In a user namespace's copy of the mounts those below can't be left out, mount_namespaces(7).
	foreign := c.in.Facts.EUID != 0 || c.in.Facts.InUserNS
	op.Recursive = boolean(foreign)
	if !foreign {
		op.Fd = c.file(FileRef{Kind: MountClone, Path: op.Source, Field: field})
	}
	c.add(field, op)
	return nil
}
