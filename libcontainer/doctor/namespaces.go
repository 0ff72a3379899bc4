package doctor

import (
	"os"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// userNamespace is what the caller needs besides a namespace to make it: nothing, or a user namespace.
func (e *examiner) userNamespace() uint64 {
	if e.privileged {
		return 0
	}
	return unix.CLONE_NEWUSER
}

func (e *examiner) namespaces() {
	e.area = "namespaces"
	e.user()
	for _, ns := range [...]struct {
		name, file string
		flag       uint64
		without    Status
		op         nsenter.Op // that makes it, where the clone doesn't
		kernel     string
	}{
		{"mount", "mnt", unix.CLONE_NEWNS, Fatal, nil, "CONFIG_NAMESPACES"},
		{"pid", "pid", unix.CLONE_NEWPID, Missing, nil, "CONFIG_PID_NS"},
		{"network", "net", unix.CLONE_NEWNET, Missing, nsenter.Loopback{}, "CONFIG_NET_NS"},
		{"ipc", "ipc", unix.CLONE_NEWIPC, Missing, nil, "CONFIG_IPC_NS"},
		{"uts", "uts", unix.CLONE_NEWUTS, Missing, nil, "CONFIG_UTS_NS"},
		{"cgroup", "cgroup", 0, Missing, nsenter.Unshare{Flags: unix.CLONE_NEWCGROUP}, "CONFIG_CGROUPS"},
		{"time", "time", 0, Missing, nsenter.TimeNamespace{}, "CONFIG_TIME_NS (5.6)"},
	} {
		var ops []nsenter.Op
		if ns.op != nil {
			ops = append(ops, ns.op)
		}
		remedy := "sysctl user.max_" + ns.file + "_namespaces shows the limit; without privilege the user namespace has to work first"
		if _, err := os.Stat("/proc/self/ns/" + ns.file); err != nil {
			remedy = "a kernel with " + ns.kernel
		}
		e.tried(ns.name, try(ns.flag|e.userNamespace(), nil, ops...), ns.without, "linux.namespaces of type "+ns.name, remedy)
	}
}

func (e *examiner) user() {
	err := try(unix.CLONE_NEWUSER, nil)
	if err == nil {
		e.ok("user", "one can be made")
		return
	}
	without, cost := Fatal, "every container of a user without privilege"
	if e.privileged {
		without, cost = Missing, "linux.namespaces of type user, linux.uidMappings, linux.gidMappings"
	}
	e.add(without, "user", err.Error(), cost, userRemedy())
}

// userRemedy looks for the switch that is off.
func userRemedy() string {
	switch {
	case value("/proc/sys/user/max_user_namespaces") == "0":
		return "sysctl -w user.max_user_namespaces=15000"
	case value("/proc/sys/kernel/unprivileged_userns_clone") == "0": // Debian's kernels
		return "sysctl -w kernel.unprivileged_userns_clone=1"
	case value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1": // Ubuntu's
		return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for davit with userns"
	}
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return "a kernel with CONFIG_USER_NS"
	}
	return "the seccomp profile or security module that davit runs under has to allow it"
}

// scratch is a directory that probes mount on, in mount namespaces of their own.
func scratch() string {
	for _, dir := range [...]string{"/tmp", "/var/tmp", "/run"} {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return dir
		}
	}
	return "/proc"
}

func mountAt(target, fstype string, options ...string) nsenter.Op {
	return nsenter.Mount{Target: target, Type: fstype, Source: fstype, Options: options}
}

func (e *examiner) filesystems() {
	e.area = "filesystems"
	root, at := nsenter.Rootfs{Path: "/"}, scratch()
	user := e.userNamespace()
	e.tried("new mount API", try(unix.CLONE_NEWNS|user, nil, root, mountAt(at, "tmpfs")), Fatal, "mounts, every rootfs (fsopen, fsmount, move_mount)",
		newerKernel+" (5.2), or allow the system calls in the seccomp profile that davit runs under")
	const unmask = "where davit itself is in a container: one whose /proc and /sys aren't masked (docker, podman: --security-opt unmask=ALL)"
	for _, fs := range [...]struct {
		name   string
		flags  uint64
		ops    []nsenter.Op
		remedy string
	}{
		{"proc", unix.CLONE_NEWPID, nil, unmask},
		{"sysfs", unix.CLONE_NEWNET, nil, unmask},
		{"devpts", 0, nil, "a kernel with CONFIG_UNIX98_PTYS"},
		{"mqueue", unix.CLONE_NEWIPC, nil, "a kernel with CONFIG_POSIX_MQUEUE"},
		{"cgroup2", 0, []nsenter.Op{nsenter.Unshare{Flags: unix.CLONE_NEWCGROUP}}, "a kernel with CONFIG_CGROUPS; boot without cgroup_disable="},
	} {
		ops := append(append([]nsenter.Op{}, fs.ops...), root, mountAt(at, fs.name))
		e.tried(fs.name, try(unix.CLONE_NEWNS|fs.flags|user, nil, ops...), Missing, "mounts of type "+fs.name, fs.remedy)
	}
	overlay := []nsenter.Op{root, mountAt(at, "tmpfs"), nsenter.Mkdir{Path: at + "/lower", Mode: 0o700}, nsenter.Mkdir{Path: at + "/upper", Mode: 0o700},
		nsenter.Mkdir{Path: at + "/work", Mode: 0o700}, mountAt(at+"/lower", "overlay", "lowerdir="+at+"/lower", "upperdir="+at+"/upper", "workdir="+at+"/work")}
	if e.privileged {
		e.tried("overlay", try(unix.CLONE_NEWNS, nil, overlay...), Missing, "mounts of type overlay, engines' storage", "modprobe overlay")
	}
	e.tried("overlay in a user namespace", try(unix.CLONE_NEWNS|unix.CLONE_NEWUSER, nil, overlay...), Missing, "native overlay storage of engines without root",
		newerKernel+" (5.11); engines can use fuse-overlayfs")
	e.idmapped()
}

// idmapped tries an idmapped clone of a mount that is attached nowhere (mount_setattr(2), MOUNT_ATTR_IDMAP).
func (e *examiner) idmapped() {
	const cost, remedy = "mounts[].options idmap and ridmap, mounts[].uidMappings there", "another filesystem, or " + newerKernel + " (5.12; tmpfs and overlay: later)"
	if !e.privileged {
		e.note("idmapped mounts", "not tried: they take privilege")
		return
	}
	for _, on := range [...]struct{ name, path string }{{"idmapped mounts of /", "/"}, {"idmapped mounts of tmpfs", ""}} {
		err := try(unix.CLONE_NEWUSER, func(pid int) error { return idmap(on.path, pid) })
		e.tried(on.name, err, Missing, cost, remedy)
	}
}
