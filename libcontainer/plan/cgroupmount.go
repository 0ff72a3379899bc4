package plan

import (
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/nsenter"
)

// cgroupMount compiles a mount of type cgroup: the hierarchies that the host
// has, as the container sees them.
func (c *compiler) cgroupMount(field string, m *specs.Mount, o *mountOptions) error {
	l := c.in.Facts.Cgroups
	if l == nil {
		return fail(field, "there are no cgroups to be mounted: the container has none")
	}
	// What is mounted is the container's own cgroup, which has to be there.
	c.cgroupJoined(field)
	c.cgroupNamespace()
	if m.Type == "cgroup2" || len(l.V1) == 0 {
		return c.cgroup2Mount(field, m.Destination, o)
	}
	if err := noFilesystemOption(field, o); err != nil {
		return err
	}
	// As the host has them, whatever the config says: there is nothing to be executed in there.
	attr := o.own
	attr.on(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	c.add(field, nsenter.Mount{Target: m.Destination, Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"},
		Attr: attr.set &^ unix.MOUNT_ATTR_RDONLY, Propagation: o.propagation})
	for i := range l.V1 {
		if err := c.hierarchy(field, m.Destination, &l.V1[i], attr, o.propagation); err != nil {
			return err
		}
	}
	if l.Unified != "" {
		if err := c.cgroup2Mount(field, path.Join(m.Destination, path.Base(l.Unified)), o); err != nil {
			return err
		}
	}
	if attr.readOnly() {
		// Last, because the hierarchies' mount points had to be made in it.
		c.add(field, nsenter.Remount{Target: m.Destination, Flags: unix.MS_BIND | attr.msFlags()})
	}
	return nil
}

// hierarchy mounts a version 1 hierarchy. With a cgroup namespace a new mount
// shows the container's part of it; without one the container's cgroup is bound.
func (c *compiler) hierarchy(field, under string, h *cgroups.Hierarchy, attr attributes, propagation uint64) error {
	name := path.Base(h.Mountpoint)
	at := path.Join(under, name)
	key := "name=" + h.Name
	if len(h.Controllers) > 0 {
		key = h.Controllers[0]
	}
	dir, err := c.inCgroup(field, key, "the hierarchy at "+h.Mountpoint, &attr)
	if err != nil {
		return err
	}
	if c.ns.has(unix.CLONE_NEWCGROUP) {
		options := h.Controllers
		if h.Name != "" {
			options = append(options[:len(options):len(options)], "name="+h.Name)
			if len(h.Controllers) == 0 {
				options = append([]string{"none"}, options...)
			}
		}
		c.add(field, nsenter.Mount{Target: at, Type: "cgroup", Source: "cgroup", Options: options, Attr: attr.set, Propagation: propagation})
	} else {
		c.add(field, nsenter.Bind{Target: at, Source: dir, Fd: nsenter.None, Set: attr.set, Clear: attr.clear, Propagation: propagation})
	}
	// Where controllers share a hierarchy each is found by its own name too.
	for _, controller := range h.Controllers {
		if controller != name {
			c.add(field, nsenter.Symlink{Path: path.Join(under, controller), To: name})
		}
	}
	return nil
}

func (c *compiler) cgroup2Mount(field, at string, o *mountOptions) error {
	if c.in.Facts.Cgroups.Unified == "" {
		return fail(field, "the host has no unified cgroup hierarchy mounted")
	}
	attr := o.own
	dir, err := c.inCgroup(field, "", "the unified hierarchy", &attr)
	if err != nil {
		return err
	}
	if c.ns.has(unix.CLONE_NEWCGROUP) {
		c.add(field, nsenter.Mount{Target: at, Type: "cgroup2", Source: "cgroup", Options: fsOptions(o.data), Attr: attr.set, Super: o.super, Propagation: o.propagation})
		return nil
	}
	if err := noFilesystemOption(field, o); err != nil {
		return err
	}
	c.add(field, nsenter.Bind{Target: at, Source: dir, Fd: nsenter.None, Set: attr.set, Clear: attr.clear, Propagation: o.propagation})
	return nil
}

// inCgroup returns the cgroup that the container is in, in one hierarchy:
// never the whole of it, which is the host's (CVE-2023-25809). Where it has
// none of its own that is its caller's, of which attr then lets it read only:
// there are other processes in there, to be stopped or killed.
func (c *compiler) inCgroup(field, key, hierarchy string, attr *attributes) (dir string, err error) {
	if dir, ok := c.in.Facts.CgroupPaths[key]; ok {
		return dir, nil
	}
	dir, ok := c.in.Facts.CallerCgroups[key]
	if !ok && !c.ns.has(unix.CLONE_NEWCGROUP) {
		return "", fail(field, "the container has no cgroup in %s, and that of its caller isn't in view there: add {\"type\": \"cgroup\"} to linux.namespaces, or leave this mount out", hierarchy)
	}
	if !attr.readOnly() && !c.callersCgroups {
		c.callersCgroups = true
		c.plan.Warnings = append(c.plan.Warnings, &Warning{field, "the container has no cgroup of its own: those of its caller are shown, read-only"})
	}
	attr.on(unix.MOUNT_ATTR_RDONLY)
	return dir, nil
}
