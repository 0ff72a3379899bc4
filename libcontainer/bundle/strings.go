package bundle

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel's strings end at a NUL byte, those of JSON don't. A path cut there
// would be another path than the one that was checked, so the byte is refused
// in every string that reaches the kernel. Not in annotations and
// seccomp.listenerMetadata, which only pass through, nor in words that are
// looked up in a table.

// text refuses a NUL byte in one string.
func (c *checker) text(at path, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		c.failf(at, "must not contain a NUL byte: %q", s)
	}
}

func (c *checker) texts(at path, list []string) {
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			c.text(at.at(i), s)
		}
	}
}

func (c *checker) textMap(at path, m map[string]string) {
	for _, k := range sortedKeys(m) {
		c.text(at.key(k), k)
		c.text(at.key(k), m[k])
	}
}

func (c *checker) specStrings(s *specs.Spec) {
	if s.Root != nil {
		root := top.member("root")
		c.text(root.member("path"), s.Root.Path)
	}
	if s.Process != nil {
		process := top.member("process")
		c.processStrings(&process, s.Process)
	}
	c.text(top.member("hostname"), s.Hostname)
	c.text(top.member("domainname"), s.Domainname)
	mounts := top.member("mounts")
	for i := range s.Mounts {
		m := mounts.at(i)
		c.text(m.member("destination"), s.Mounts[i].Destination)
		c.text(m.member("type"), s.Mounts[i].Type)
		c.text(m.member("source"), s.Mounts[i].Source)
		c.texts(m.member("options"), s.Mounts[i].Options)
	}
	if s.Hooks != nil {
		hooks := top.member("hooks")
		for _, point := range hookPoints(s.Hooks) {
			list := hooks.member(point.name)
			for i := range point.hooks {
				hook := list.at(i)
				c.text(hook.member("path"), point.hooks[i].Path)
				c.texts(hook.member("args"), point.hooks[i].Args)
				c.texts(hook.member("env"), point.hooks[i].Env)
			}
		}
	}
	if s.Linux != nil {
		linux := top.member("linux")
		c.linuxStrings(&linux, s.Linux)
	}
}

func (c *checker) processStrings(at *path, p *specs.Process) {
	c.texts(at.member("args"), p.Args)
	c.texts(at.member("env"), p.Env)
	c.text(at.member("cwd"), p.Cwd)
	c.text(at.member("apparmorProfile"), p.ApparmorProfile)
	c.text(at.member("selinuxLabel"), p.SelinuxLabel)
}

func (c *checker) linuxStrings(at *path, l *specs.Linux) {
	namespaces := at.member("namespaces")
	for i := range l.Namespaces {
		ns := namespaces.at(i)
		c.text(ns.member("path"), l.Namespaces[i].Path)
	}
	c.textMap(at.member("sysctl"), l.Sysctl)
	c.text(at.member("cgroupsPath"), l.CgroupsPath)
	devices := at.member("devices")
	for i := range l.Devices {
		device := devices.at(i)
		c.text(device.member("path"), l.Devices[i].Path)
	}
	netDevices := at.member("netDevices")
	for _, k := range sortedKeys(l.NetDevices) {
		device := netDevices.key(k)
		c.text(device, k)
		c.text(device.member("name"), l.NetDevices[k].Name)
	}
	c.texts(at.member("maskedPaths"), l.MaskedPaths)
	c.texts(at.member("readonlyPaths"), l.ReadonlyPaths)
	c.text(at.member("mountLabel"), l.MountLabel)
	if s := l.Seccomp; s != nil {
		seccomp := at.member("seccomp")
		c.text(seccomp.member("listenerPath"), s.ListenerPath)
		syscalls := seccomp.member("syscalls")
		for i := range s.Syscalls {
			rule := syscalls.at(i)
			c.texts(rule.member("names"), s.Syscalls[i].Names)
		}
	}
	if r := l.Resources; r != nil {
		resources := at.member("resources")
		c.resourceStrings(&resources, r)
	}
	if rdt := l.IntelRdt; rdt != nil {
		intelRdt := at.member("intelRdt")
		c.text(intelRdt.member("closID"), rdt.ClosID)
		c.text(intelRdt.member("l3CacheSchema"), rdt.L3CacheSchema)
		c.text(intelRdt.member("memBwSchema"), rdt.MemBwSchema)
		c.texts(intelRdt.member("schemata"), rdt.Schemata)
	}
}

func (c *checker) resourceStrings(at *path, r *specs.LinuxResources) {
	if r.Network != nil {
		network := at.member("network")
		priorities := network.member("priorities")
		for i := range r.Network.Priorities {
			p := priorities.at(i)
			c.text(p.member("name"), r.Network.Priorities[i].Name)
		}
	}
	rdma := at.member("rdma")
	for _, k := range sortedKeys(r.Rdma) {
		c.text(rdma.key(k), k)
	}
	c.textMap(at.member("unified"), r.Unified)
}
