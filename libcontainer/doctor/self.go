package doctor

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"davit/libcontainer/plan"
)

// self looks at what davit itself may do.
func (e *examiner) self() {
	e.area = "davit"
	e.capabilities()
	if seccomp, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err == nil && seccomp == 2 {
		e.note("seccomp", "davit runs under a filter itself: system calls that it refuses fail in containers, too")
	}
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err == nil && nnp == 1 && e.euid != 0 {
		e.missing("no_new_privs", "is set", "more than one id in linux.uidMappings (newuidmap can't gain privilege)", "run davit from a session without it")
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Cur < 300 {
		e.missing("open files", fmt.Sprintf("the limit is %d", files.Cur), "containers with many mounts and namespaces", "ulimit -n 1024")
	}
	e.state()
}

// capabilities names those that root lacks here. An ordinary user has none, which is no finding.
func (e *examiner) capabilities() {
	if e.caps == 0 {
		e.note("capabilities", "none: containers need a user namespace")
		return
	}
	lost := 0
	for i, name := range plan.Capabilities() {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(i), 0, 0, 0); err == nil && !e.has(i) {
			lost++
			cost := name + " in process.capabilities of containers without a user namespace"
			if own := capabilityCost(i); own != "" {
				cost += ", " + own
			}
			e.missing(name, "davit doesn't have it", cost, "run davit with it: not in a container, session or service that drops it")
		}
	}
	if lost == 0 {
		e.ok("capabilities", "all")
	}
}

// capabilityCost is what davit itself needs a capability for.
func capabilityCost(capability int) string {
	switch capability {
	case unix.CAP_SYS_ADMIN:
		return "containers without a user namespace"
	case unix.CAP_SYS_RESOURCE:
		return "process.rlimits above davit's own, a process.oomScoreAdj below davit's own"
	case unix.CAP_NET_ADMIN:
		return "linux.netDevices, the loopback of new network namespaces"
	case unix.CAP_MKNOD:
		return "linux.devices"
	case unix.CAP_SETUID, unix.CAP_SETGID:
		return "process.user, linux.uidMappings, linux.gidMappings"
	case unix.CAP_SETPCAP:
		return "process.capabilities.bounding"
	case unix.CAP_CHOWN, unix.CAP_FOWNER:
		return "owners and modes of what is made in the rootfs"
	case unix.CAP_DAC_OVERRIDE:
		return "rootfs that belong to others"
	case unix.CAP_SYS_CHROOT:
		return "every rootfs"
	case unix.CAP_KILL:
		return "kill of containers of other users"
	case unix.CAP_SYS_NICE:
		return "process.scheduler, process.ioPriority of class RT"
	case unix.CAP_SYS_PTRACE:
		return "joining namespaces of other users' processes"
	}
	return ""
}

// state looks at where containers' state is kept.
func (e *examiner) state() {
	dir := e.opts.StateRoot
	if dir == "" {
		return
	}
	at := dir
	var st unix.Stat_t
	for unix.Stat(at, &st) == unix.ENOENT && at != "/" && at != "." {
		at = filepath.Dir(at)
	}
	err := unix.Access(at, unix.W_OK|unix.X_OK)
	switch {
	case err != nil:
		remedy := "davit --root DIR"
		if e.euid != 0 && os.Getenv("XDG_RUNTIME_DIR") == "" {
			remedy = "export XDG_RUNTIME_DIR=/run/user/$(id -u) after loginctl enable-linger, or davit --root DIR"
		}
		e.add(Fatal, "state directory", at+": "+err.Error(), "create, run", remedy)
	case at == dir && st.Mode&0o022 != 0:
		e.add(Fatal, "state directory", dir+": others can write to it", "every command", "chmod go-w "+dir)
	case at == dir:
		e.ok("state directory", dir)
	default:
		e.ok("state directory", dir+", to be made")
	}
}
