package bundle

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// linux checks the linux section, but for namespaces and what hangs on them:
// the other checks need to know those first. Without the section, which is
// optional, the container shares all namespaces with the runtime.
func (c *checker) linux() {
	l := c.spec.Linux
	if l == nil {
		return
	}
	at := top.member("linux")
	c.sysctls(&at)
	c.cgroupsPath(at.member("cgroupsPath"), l.CgroupsPath)
	if l.Resources != nil {
		resources := at.member("resources")
		c.resources(&resources, l.Resources)
	}
	c.devices(&at)
	c.netDevices(&at)
	if l.Seccomp != nil {
		seccomp := at.member("seccomp")
		c.seccomp(&seccomp, l.Seccomp)
	}
	// The types of propagation are those of mount options. The recursive
	// forms aren't in the spec's list, but are what engines send.
	if p := l.RootfsPropagation; p != "" && propagationKind(p) == "" {
		c.failf(at.member("rootfsPropagation"), "%q is not a type of propagation", p).Hint =
			"shared, slave, private or unbindable"
	}
	c.hiddenPaths(at.member("maskedPaths"), l.MaskedPaths)
	c.hiddenPaths(at.member("readonlyPaths"), l.ReadonlyPaths)
	c.oneLine(at.member("mountLabel"), l.MountLabel)
	c.intelRdt(&at)
	c.memoryPolicy(&at, l.MemoryPolicy)
	c.personality(&at)
}

// cgroupsPath takes both forms that are in use: a path, and systemd's
// slice:prefix:name.
func (c *checker) cgroupsPath(at path, value string) {
	for part := range strings.SplitSeq(value, "/") {
		if part == ".." {
			c.failf(at, `must not contain "..": %q`, value)
			break
		}
	}
	// cgroup_mkdir in the kernel refuses it, /proc/PID/cgroup has lines.
	c.oneLine(at, value)
}

func (c *checker) hiddenPaths(at path, list []string) {
	// In the runtime's own mount namespace these over-mounts would be seen by
	// the host, and outlive the container.
	if len(list) != 0 && !c.ns.isolates(nsMount) {
		c.fail(at, "needs a mount namespace that is not the runtime's").Hint = `add {"type": "mount"} to linux.namespaces`
	}
	for i := range list {
		c.absolute(at.at(i), list[i])
	}
}

func (c *checker) intelRdt(linux *path) {
	rdt := c.spec.Linux.IntelRdt
	if rdt == nil {
		return
	}
	at := linux.member("intelRdt")
	closID := at.member("closID")
	switch id := rdt.ClosID; id {
	case "", "/": // the container's id, and the default class
	case ".", "..", "info", "mon_data", "mon_groups":
		c.failf(closID, "%q is taken: it is not a class but a part of the resctrl filesystem", id)
	default:
		if strings.Contains(id, "/") {
			c.failf(closID, "%q must be one directory's name", id).Hint = `"/" alone stands for the default class`
		}
		c.oneLine(closID, id)
	}
	c.oneLine(at.member("l3CacheSchema"), rdt.L3CacheSchema)
	if s := rdt.MemBwSchema; s != "" && !strings.HasPrefix(s, "MB:") {
		c.failf(at.member("memBwSchema"), `must start with "MB:": %q`, s)
	}
	c.oneLine(at.member("memBwSchema"), rdt.MemBwSchema)
	schemata := at.member("schemata")
	for i, line := range rdt.Schemata {
		if line == "" {
			c.fail(schemata.at(i), "must not be empty")
		}
		c.oneLine(schemata.at(i), line)
	}
}

func (c *checker) personality(linux *path) {
	p := c.spec.Linux.Personality
	if p == nil {
		return
	}
	at := linux.member("personality")
	switch p.Domain {
	case specs.PerLinux, specs.PerLinux32:
	case "":
		c.fail(at.member("domain"), "must not be empty").Hint = "LINUX or LINUX32"
	default:
		c.failf(at.member("domain"), "%q is not supported", p.Domain).Hint = "LINUX or LINUX32"
	}
	if len(p.Flags) != 0 {
		c.fail(at.member("flags"), "no flags are supported")
	}
}
