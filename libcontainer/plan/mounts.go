package plan

import (
	"fmt"
	"path"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

func (c *compiler) mounts() error {
	for i := range c.spec.Mounts {
		if err := c.mount(fmt.Sprintf("mounts[%d] (%s)", i, c.spec.Mounts[i].Destination), &c.spec.Mounts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) mount(field string, m *specs.Mount) error {
	o := parseOptions(m.Options)
	if m.Type == "bind" {
		o.bind = true
	}
	switch {
	case o.idmap || len(m.UIDMappings)+len(m.GIDMappings) > 0:
		return fail(field, "idmapped mounts are not supported by this version of davit")
	case o.copyUp:
		return fail(field, "option tmpcopyup is not supported by this version of davit")
	case path.Clean("/"+m.Destination) == "/":
		return fail(field, "a mount on the root directory is not supported by this version of davit")
	case o.remount:
		return c.remount(field, m, o)
	case o.bind:
		return c.bind(field, m, o)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		return c.cgroupMount(field, m, o)
	}
	c.newMount(field, m, o)
	return nil
}

func (c *compiler) remount(field string, m *specs.Mount, o mountOptions) error {
	op := nsenter.Remount{Target: m.Destination, Flags: msFlags(o.merged()) | o.super, Propagation: o.propagation}
	if o.bind {
		op.Flags |= unix.MS_BIND
	}
	for i, d := range o.data {
		if i > 0 {
			op.Data += ","
		}
		op.Data += d
	}
	c.add(field, op)
	return nil
}

func (c *compiler) bind(field string, m *specs.Mount, o mountOptions) error {
	if m.Source == "" {
		return fail(field, "a bind mount needs a source")
	}
	if len(o.data) > 0 {
		return fail(field, "a bind mount takes no filesystem option such as %q", o.data[0])
	}
	source := m.Source
	if !filepath.IsAbs(source) {
		source = filepath.Join(c.in.Bundle, source)
	}
	c.add(field, nsenter.Bind{
		Target: m.Destination, Source: source, Fd: nsenter.None, Recursive: boolean(o.recursive),
		Set: o.set, Clear: o.clear, RSet: o.rset, RClear: o.rclear, Propagation: o.propagation,
	})
	return nil
}

func (c *compiler) newMount(field string, m *specs.Mount, o mountOptions) {
	op := nsenter.Mount{
		Target: m.Destination, Type: m.Type, Source: m.Source, Options: o.data,
		Attr: o.merged(), Super: o.super, Propagation: o.propagation,
	}
	if m.Type == "proc" || m.Type == "sysfs" {
		// Where /proc or /sys is a link, the mount would end up in a place of the image's choice.
		op.NoSymlinks = 1
	}
	switch {
	case c.delayedReadOnly(m):
		op.Attr &^= unix.MOUNT_ATTR_RDONLY
	case op.Attr&unix.MOUNT_ATTR_RDONLY != 0 && ownSuperblock(m.Type):
		op.Super |= unix.MS_RDONLY
	}
	if label := c.linux.MountLabel; label != "" && c.in.Facts.SELinux && m.Type != "proc" && m.Type != "sysfs" && m.Type != "mqueue" {
		op.Options = append(op.Options[:len(op.Options):len(op.Options)], "context="+label)
	}
	c.add(field, op)
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

func (c *compiler) delayedReadOnly(m *specs.Mount) bool {
	if path.Clean("/"+m.Destination) != "/dev" || !c.ownsDev() {
		return false
	}
	o := parseOptions(m.Options)
	return !o.bind && !o.remount && o.merged()&unix.MOUNT_ATTR_RDONLY != 0
}

// cgroupMount compiles a mount of type cgroup: the hierarchies that the host
// has, as the container sees them.
func (c *compiler) cgroupMount(field string, m *specs.Mount, o mountOptions) error {
	l := c.in.Facts.Cgroups
	if l == nil {
		return fail(field, "there are no cgroups to be mounted: the container has none")
	}
	// What is mounted is the container's own cgroup, which has to be there.
	c.cgroupJoined(field)
	c.cgroupNamespace()
	if m.Type == "cgroup2" || len(l.V1) == 0 {
		c.cgroup2Mount(field, m.Destination, o)
		return nil
	}
	ro := o.set & unix.MOUNT_ATTR_RDONLY
	attr := o.merged() | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	c.add(field, nsenter.Mount{Target: m.Destination, Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}, Attr: attr &^ ro, Propagation: o.propagation})
	for i := range l.V1 {
		h := &l.V1[i]
		at := path.Join(m.Destination, path.Base(h.Mountpoint))
		if err := c.hierarchy(field, at, h.Mountpoint, h.Controllers, h.Name, attr, o.propagation); err != nil {
			return err
		}
		// Where controllers share a hierarchy each is found by its own name too.
		for _, name := range h.Controllers {
			if name != path.Base(h.Mountpoint) {
				c.add(field, nsenter.Symlink{Path: path.Join(m.Destination, name), To: path.Base(h.Mountpoint)})
			}
		}
	}
	if l.Unified != "" {
		c.cgroup2Mount(field, path.Join(m.Destination, path.Base(l.Unified)), o)
	}
	if ro != 0 {
		// Last, because the hierarchies' mount points had to be made in it.
		c.add(field, nsenter.Remount{Target: m.Destination, Flags: unix.MS_BIND | msFlags(attr)})
	}
	return nil
}

// hierarchy mounts a version 1 hierarchy. With a cgroup namespace a new mount
// shows the container's part of it; without one the container's cgroup is bound.
func (c *compiler) hierarchy(field, at, mountpoint string, controllers []string, name string, attr, propagation uint64) error {
	if c.cgroupNamespaceMade() {
		options := controllers
		if name != "" {
			options = append(options[:len(options):len(options)], "name="+name)
			if len(controllers) == 0 {
				options = append([]string{"none"}, options...)
			}
		}
		c.add(field, nsenter.Mount{Target: at, Type: "cgroup", Source: "cgroup", Options: options, Attr: attr, Propagation: propagation})
		return nil
	}
	key := "name=" + name
	if len(controllers) > 0 {
		key = controllers[0]
	}
	own, ok := c.in.Facts.CgroupPaths[key]
	if !ok {
		return fail(field, "the container has no cgroup in the hierarchy at %s", mountpoint)
	}
	c.add(field, nsenter.Bind{Target: at, Source: own, Fd: nsenter.None, Set: attr &^ atime, Propagation: propagation})
	return nil
}

func (c *compiler) cgroup2Mount(field, at string, o mountOptions) {
	attr := o.merged()
	if c.cgroupNamespaceMade() {
		c.add(field, nsenter.Mount{Target: at, Type: "cgroup2", Source: "cgroup", Options: o.data, Attr: attr, Propagation: o.propagation})
		return
	}
	source := c.in.Facts.Cgroups.Unified
	if own, ok := c.in.Facts.CgroupPaths[""]; ok {
		source = own
	}
	c.add(field, nsenter.Bind{Target: at, Source: source, Fd: nsenter.None, Recursive: 1, Set: attr &^ atime, Propagation: o.propagation})
}

// cgroupNamespaceMade tells whether the container has a cgroup namespace of its own, new or joined.
func (c *compiler) cgroupNamespaceMade() bool {
	_, ok := c.ns.index[unix.CLONE_NEWCGROUP]
	return ok
}
