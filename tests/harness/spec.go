package harness

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Edit changes a configuration. Tests describe what they are about as edits of [BaseSpec].
type Edit func(*specs.Spec)

// BaseSpec is a usual configuration: what `davit spec` writes, without a terminal.
func BaseSpec(cgroupsPath string) *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version: "1.3.0",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{
			Cwd: "/", Args: []string{"/bin/true"}, Env: []string{"PATH=/bin", "TERM=xterm"}, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Hostname: "davit",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: cgroupsPath,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
			},
			MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// Args sets the command.
func Args(args ...string) Edit {
	return func(s *specs.Spec) { s.Process.Args = args }
}

// Shell makes the command a shell script.
func Shell(script string) Edit { return Args("/bin/sh", "-c", script) }

// Env adds variables.
func Env(vars ...string) Edit {
	return func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, vars...) }
}

// Mount adds a mount.
func Mount(m specs.Mount) Edit {
	return func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) }
}

// WithoutMount drops the mount at a destination.
func WithoutMount(destination string) Edit {
	return func(s *specs.Spec) {
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == destination })
	}
}

// WithoutMounts drops all mounts, and the paths that only make sense with them.
func WithoutMounts() Edit {
	return func(s *specs.Spec) { s.Mounts, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil, nil }
}

// Namespace adds a namespace, or replaces the one of the same type. An empty path makes a new one.
func Namespace(typ specs.LinuxNamespaceType, path string) Edit {
	return func(s *specs.Spec) {
		WithoutNamespace(typ)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: typ, Path: path})
	}
}

// WithoutNamespace leaves the container in the host's namespace of a type.
func WithoutNamespace(typ specs.LinuxNamespaceType) Edit {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == typ })
	}
}

// UserNamespace adds a new user namespace in which ids from 0 are ids from first on the host.
func UserNamespace(first, size uint32) Edit {
	return func(s *specs.Spec) {
		Namespace(specs.UserNamespace, "")(s)
		m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: size}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = m, m
	}
}

// User sets the process's user and group.
func User(uid, gid uint32, groups ...uint32) Edit {
	return func(s *specs.Spec) {
		s.Process.User.UID, s.Process.User.GID, s.Process.User.AdditionalGids = uid, gid, groups
	}
}

// Capabilities sets all but the ambient set.
func Capabilities(names ...string) Edit {
	return func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names, Inheritable: nil}
	}
}

// AllCapabilities gives the process everything that the caller has.
func AllCapabilities() Edit { return Capabilities(capabilityNames()...) }

func capabilityNames() []string {
	names := []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
		"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
		"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
		"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
		"PERFMON", "BPF", "CHECKPOINT_RESTORE"}
	for i := range names {
		names[i] = "CAP_" + names[i]
	}
	return names
}

// Hooks sets the configuration's hooks.
func Hooks(edit func(*specs.Hooks)) Edit {
	return func(s *specs.Spec) {
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		edit(s.Hooks)
	}
}

// Pointer returns a pointer to v, for the optional fields of a configuration.
func Pointer[T any](v T) *T { return &v }
