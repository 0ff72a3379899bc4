package doctor

import (
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/opencontainers/selinux/go-selinux"
	"golang.org/x/sys/unix"

	"davit/apparmor"
	"davit/seccomp"
)

// Operations and flags of seccomp(2) that x/sys has no names for.
const (
	seccompSetModeFilter  = 1
	seccompGetActionAvail = 2
	seccompGetNotifSizes  = 3
	flagNewListener       = 1 << 3
	flagWaitKillable      = 1 << 5
)

func (e *examiner) seccomp() {
	e.area = "seccomp"
	if v := seccomp.LibraryVersion(); v != "" {
		e.ok("libseccomp", v)
	} else {
		e.missing("libseccomp", "davit was built without it", "linux.seccomp", "build davit with make")
	}
	var without []string
	for _, a := range [...]struct {
		name  string
		value uint32
	}{
		{"KILL_PROCESS", 0x80000000}, {"KILL_THREAD", 0}, {"TRAP", 0x00030000}, {"ERRNO", 0x00050000}, {"NOTIFY", 0x7fc00000},
		{"TRACE", 0x7ff00000}, {"LOG", 0x7ffc0000}, {"ALLOW", 0x7fff0000},
	} {
		if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, seccompGetActionAvail, 0, uintptr(unsafe.Pointer(&a.value))); errno != 0 {
			without = append(without, a.name)
		}
	}
	if len(without) > 0 {
		e.missing("actions", "the kernel lacks "+strings.Join(without, ", "), "linux.seccomp with these actions", "a kernel with CONFIG_SECCOMP_FILTER")
	} else {
		e.ok("actions", "all")
	}
	var sizes [3]uint16
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, seccompGetNotifSizes, 0, uintptr(unsafe.Pointer(&sizes)))
	e.tried("user notification", errnoOf(errno), Missing, "SCMP_ACT_NOTIFY, linux.seccomp.listenerPath", newerKernel+" (5.0)")
	// Without a filter a known flag ends in EFAULT.
	_, _, errno = unix.Syscall(unix.SYS_SECCOMP, seccompSetModeFilter, flagNewListener|flagWaitKillable, 0)
	e.tried("WAIT_KILLABLE_RECV", known(errnoOf(errno), unix.EFAULT), Missing, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV in linux.seccomp.flags", newerKernel+" (5.19)")
}

// modules looks at the Linux security modules.
func (e *examiner) modules() {
	e.area = "security modules"
	list := value("/sys/kernel/security/lsm")
	if list != "" {
		e.ok("active", list)
	}
	_, noAppArmor := os.Stat("/sys/module/apparmor")
	switch {
	case apparmor.Enabled():
		e.ok("AppArmor", "enabled")
	case noAppArmor != nil:
		e.missing("AppArmor", "not in this kernel", "process.apparmorProfile", "a kernel with CONFIG_SECURITY_APPARMOR")
	default:
		e.missing("AppArmor", "not enabled", "process.apparmorProfile", "boot with "+lsmParameter(list, "apparmor"))
	}
	switch { // a kernel that has SELinux shows nothing of it unless it is enabled
	case !selinux.GetEnabled():
		e.missing("SELinux", "not enabled", "process.selinuxLabel, linux.mountLabel",
			"install a policy and boot with "+lsmParameter(list, "selinux")+"; the kernel needs CONFIG_SECURITY_SELINUX")
	case selinux.EnforceMode() == selinux.Enforcing:
		e.ok("SELinux", "enforcing")
	default:
		e.note("SELinux", "permissive: denials are only logged")
	}
}

// lsmParameter adds a module to the kernel's command line.
func lsmParameter(list, module string) string {
	active := strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	if len(active) == 0 {
		return "lsm=…," + module
	}
	// Only one of the two major modules can be there before Linux has stacked them.
	active = slices.DeleteFunc(active, func(m string) bool { return m == "apparmor" || m == "selinux" })
	return "lsm=" + strings.Join(append(active, module), ",")
}
