package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// namespaces sorts linux.namespaces by what is done with them.
type namespaces struct {
	created uint64 // CLONE_NEW* of the new ones
	joined  uint64 // CLONE_NEW* of those with a path
	index   map[uint64]int
}

func (n *namespaces) has(flag uint64) bool  { return (n.created|n.joined)&flag != 0 }
func (n *namespaces) made(flag uint64) bool { return n.created&flag != 0 }

func (n *namespaces) field(flag uint64) string {
	if i, ok := n.index[flag]; ok {
		return item("linux.namespaces", i, "")
	}
	return "linux.namespaces"
}

// NamespaceFlag returns the CLONE_NEW* flag of a namespace type, 0 for an unknown one.
func NamespaceFlag(t specs.LinuxNamespaceType) uint64 {
	switch t {
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET
	case specs.MountNamespace:
		return unix.CLONE_NEWNS
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME
	}
	return 0
}

func sortNamespaces(list []specs.LinuxNamespace) (namespaces, error) {
	n := namespaces{index: make(map[uint64]int, len(list))}
	for i, ns := range list {
		flag := NamespaceFlag(ns.Type)
		if flag == 0 {
			return n, fail(item("linux.namespaces", i, "")+".type", "unknown namespace type %q", ns.Type)
		}
		if n.has(flag) {
			return n, fail(item("linux.namespaces", i, ""), "the %s namespace is listed twice", ns.Type)
		}
		if ns.Path != "" {
			n.joined |= flag
		} else {
			n.created |= flag
		}
		n.index[flag] = i
	}
	return n, nil
}

// Ahead are the namespaces that the plan of a configuration is going to make and that can be made
// before the rest is known: those that don't belong to a user namespace that the plan makes or
// joins. A network namespace takes the kernel longer than all the others together.
func Ahead(spec *specs.Spec) uint64 {
	if spec.Linux == nil {
		return 0
	}
	ns, err := sortNamespaces(spec.Linux.Namespaces)
	if err != nil || ns.has(unix.CLONE_NEWUSER) {
		return 0
	}
	return ns.created & (unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
}

// enter compiles the way into the namespaces, up to the container's process being its user namespace's root.
func (c *compiler) enter() error {
	var err error
	if c.ns, err = sortNamespaces(c.linux.Namespaces); err != nil {
		return err
	}
	c.plan.userns = c.ns.has(unix.CLONE_NEWUSER)
	c.plan.PrivatePID = c.ns.made(unix.CLONE_NEWPID)
	rootless := c.in.Facts.EUID != 0
	if err := c.userNamespace(rootless); err != nil {
		return err
	}
	if p := c.spec.Process; p != nil {
		c.oomScore(p)
		if err := c.raiseLimits(p); err != nil {
			return err
		}
	}
	if rootless && c.ns.made(unix.CLONE_NEWUSER) {
		c.add("", nsenter.Dumpable{Value: 1})
	}
	if err := c.mountsAhead(); err != nil {
		return err
	}
	c.join(rootless)
	c.clone()
	c.joinCgroup()
	if c.ns.made(unix.CLONE_NEWUSER) {
		c.plan.Mappings = &Mappings{UIDs: c.linux.UIDMappings, GIDs: c.linux.GIDMappings}
		c.add("linux.uidMappings", nsenter.Wait{Token: uint64(nsenter.TokenMapped)})
	}
	if c.ns.made(unix.CLONE_NEWTIME) {
		// Still as the caller: to the container's root timens_offsets of an undumpable process is closed, proc(5).
		c.add(c.ns.field(unix.CLONE_NEWTIME), nsenter.TimeNamespace{Offsets: timeOffsets(c.linux.TimeOffsets)})
	}
	if rootless && c.ns.made(unix.CLONE_NEWUSER) {
		c.add("", nsenter.Dumpable{Value: 0})
	}
	if c.plan.userns {
		c.add(c.ns.field(unix.CLONE_NEWUSER), c.becomeRoot())
	}
	return nil
}

// userNamespace refuses what could only fail: without a user namespace an
// unprivileged caller can make no other one, and without a mapping of its root
// nobody could own what is made for the container.
func (c *compiler) userNamespace(rootless bool) error {
	const sysAdmin = 1 << unix.CAP_SYS_ADMIN
	switch {
	case rootless && !c.plan.userns && c.in.Facts.Capabilities&sysAdmin == 0:
		return &Error{"linux.namespaces", "an unprivileged user needs a user namespace to make a container", `add {"type": "user"}, linux.uidMappings and linux.gidMappings`}
	case !c.ns.made(unix.CLONE_NEWUSER):
	case !mapsRoot(c.linux.UIDMappings):
		return fail("linux.uidMappings", "there is no mapping for the container's root, containerID 0")
	case !mapsRoot(c.linux.GIDMappings):
		return fail("linux.gidMappings", "there is no mapping for the container's root group, containerID 0")
	}
	return nil
}

func mapsRoot(list []specs.LinuxIDMapping) bool {
	return slices.ContainsFunc(list, func(m specs.LinuxIDMapping) bool { return m.ContainerID == 0 && m.Size > 0 })
}

// oomScore comes before the user namespace: lowering the score takes the
// caller's CAP_SYS_RESOURCE. The files of a process that isn't dumpable are
// root's (proc(5)), so an unprivileged caller's has to be for a moment.
func (c *compiler) oomScore(p *specs.Process) {
	if p.OOMScoreAdj == nil {
		return
	}
	rootless := c.in.Facts.EUID != 0
	if rootless {
		c.add("process.oomScoreAdj", nsenter.Dumpable{Value: 1})
	}
	c.add("process.oomScoreAdj", nsenter.OOMScore{Value: fmt.Sprint(*p.OOMScoreAdj)})
	if rootless {
		c.add("process.oomScoreAdj", nsenter.Dumpable{Value: 0})
	}
}

// raiseLimits takes hard limits up while the stage is still privileged; setrlimit in the process phase then only lowers.
func (c *compiler) raiseLimits(p *specs.Process) error {
	if !c.plan.userns {
		return nil
	}
	for i, l := range p.Rlimits {
		r, err := rlimit(i, l.Type)
		if err != nil {
			return err
		}
		c.add(item("process.rlimits", i, l.Type), nsenter.RaiseLimit{Resource: r, Hard: l.Hard})
	}
	return nil
}

// join compiles setns(2) for every namespace with a path. A privileged caller
// joins the user namespace last, because the others may belong to another one;
// an unprivileged caller has rights only once it is inside.
func (c *compiler) join(rootless bool) {
	order := []uint64{unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWNET, unix.CLONE_NEWPID, unix.CLONE_NEWCGROUP, unix.CLONE_NEWTIME, unix.CLONE_NEWNS, unix.CLONE_NEWUSER}
	if rootless {
		order = slices.Insert(order[:len(order)-1], 0, unix.CLONE_NEWUSER)
	}
	for _, flag := range order {
		if c.ns.joined&flag != 0 && (flag != unix.CLONE_NEWCGROUP || !c.cgroupLast()) {
			c.joinOne(flag)
		}
	}
}

// joinCgroup joins a cgroup namespace after the clone into a cgroup: before it,
// both cgroups would have to be inside of that namespace where namespaces are
// delegation boundaries (cgroups(7), nsdelegate), and the caller's never is.
func (c *compiler) joinCgroup() {
	if c.ns.joined&unix.CLONE_NEWCGROUP != 0 && c.cgroupLast() {
		c.joinOne(unix.CLONE_NEWCGROUP)
	}
}

// cgroupLast tells whether joinCgroup applies. From a new user namespace that of the caller's can't be joined any more.
func (c *compiler) cgroupLast() bool { return c.in.Facts.IntoCgroup && !c.ns.made(unix.CLONE_NEWUSER) }

func (c *compiler) joinOne(flag uint64) {
	field := c.ns.field(flag) + ".path"
	slot := c.file(FileRef{Kind: Namespace, Path: c.linux.Namespaces[c.ns.index[flag]].Path, Type: flag, Field: field})
	c.add(field, nsenter.Join{Fd: slot, Type: flag})
}

// laterFlags are namespaces that can't be made at the clone: a cgroup
// namespace is rooted in the caller's cgroup at that time, and a time namespace
// takes offsets only while it is empty.
const laterFlags = unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

func (c *compiler) clone() {
	op := nsenter.Clone{Flags: c.ns.created &^ laterFlags, Cgroup: nsenter.None}
	field := "linux.namespaces"
	if c.in.Facts.IntoCgroup {
		op.Cgroup = c.file(FileRef{Kind: CgroupDir, Field: "linux.cgroupsPath"})
	}
	c.add(field, op)
}

// keyring compiles the session keyring, which is labelled as the process is.
func (c *compiler) keyring() {
	if c.in.NoNewKeyring {
		return
	}
	k, field := nsenter.Keyring{Name: "_ses." + c.in.ID}, ""
	if p := c.spec.Process; p != nil && p.SelinuxLabel != "" && c.in.Facts.SELinux {
		k.Label, field = p.SelinuxLabel, "process.selinuxLabel"
	}
	c.add(field, k)
}

// identity compiles what the new namespaces are called and set to.
func (c *compiler) identity() error {
	c.keyring()
	if c.ns.made(unix.CLONE_NEWNET) {
		c.add(c.ns.field(unix.CLONE_NEWNET), nsenter.Loopback{})
	}
	if c.spec.Hostname != "" {
		if !c.ns.has(unix.CLONE_NEWUTS) {
			return fail("hostname", "would change the host's name: it needs a uts namespace")
		}
		c.add("hostname", nsenter.Hostname{Name: c.spec.Hostname})
	}
	if c.spec.Domainname != "" {
		if !c.ns.has(unix.CLONE_NEWUTS) {
			return fail("domainname", "would change the host's domain name: it needs a uts namespace")
		}
		c.add("domainname", nsenter.Domainname{Name: c.spec.Domainname})
	}
	return nil
}

// timeOffsets prints offsets as /proc/PID/timens_offsets takes them.
func timeOffsets(offsets map[string]specs.LinuxTimeOffset) string {
	var b strings.Builder
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		fmt.Fprintf(&b, "%s %d %d\n", clock, offsets[clock].Secs, offsets[clock].Nanosecs)
	}
	return b.String()
}

// cgroupJoined waits, once, until the process is in its cgroups; where it was cloned into them it is.
func (c *compiler) cgroupJoined(field string) {
	if c.plan.Joins || c.in.Facts.IntoCgroup || c.in.Facts.Cgroups == nil {
		return
	}
	c.plan.Joins = true
	c.add(field, nsenter.Wait{Token: uint64(nsenter.TokenCgroupJoined)})
}

// cgroupNamespace compiles the move into the cgroup namespace, which has to
// come after the process is in its cgroup and before a cgroup mount shows it.
// It does so once.
func (c *compiler) cgroupNamespace() {
	if !c.ns.made(unix.CLONE_NEWCGROUP) || c.unshared {
		return
	}
	c.unshared = true
	field := c.ns.field(unix.CLONE_NEWCGROUP)
	c.cgroupJoined(field)
	c.add(field, nsenter.Unshare{Flags: unix.CLONE_NEWCGROUP})
}
