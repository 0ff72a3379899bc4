package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// flagTSYNC is in config-linux.md but has no constant in specs-go.
const flagTSYNC specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

func flagNames() []specs.LinuxSeccompFlag {
	return []specs.LinuxSeccompFlag{
		specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, flagTSYNC, specs.LinuxSeccompFlagWaitKillableRecv,
	}
}

func flagBit(name specs.LinuxSeccompFlag) uint32 {
	switch name {
	case flagTSYNC:
		return unix.SECCOMP_FILTER_FLAG_TSYNC
	case specs.LinuxSeccompFlagLog:
		return unix.SECCOMP_FILTER_FLAG_LOG
	case specs.LinuxSeccompFlagSpecAllow:
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	case specs.LinuxSeccompFlagWaitKillableRecv:
		return unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	}
	return 0
}

func flagName(bit uint32) string {
	switch bit {
	case unix.SECCOMP_FILTER_FLAG_NEW_LISTENER:
		return "SECCOMP_FILTER_FLAG_NEW_LISTENER"
	case unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH:
		return "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"
	}
	for _, name := range flagNames() {
		if flagBit(name) == bit {
			return string(name)
		}
	}
	return fmt.Sprintf("filter flag %#x", bit)
}

// parseFlags gives the flags for seccomp(2).
//
// NEW_LISTENER comes from the rules, not from the profile's flags. Together
// with it TSYNC needs TSYNC_ESRCH (Linux 5.7): both want the return value, and
// with ESRCH a thread that can't be synchronised is an errno, not a thread id.
// WAIT_KILLABLE_RECV says how a caller waits for its listener; the kernel
// refuses it for a filter that has none, where it would mean nothing.
func parseFlags(list []specs.LinuxSeccompFlag, notify bool) (flags uint32, warnings []string, err error) {
	if list == nil {
		flags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	for i, name := range list {
		bit := flagBit(name)
		if bit == 0 {
			return 0, nil, fieldErrorf(fmt.Sprintf("linux.seccomp.flags[%d]", i), "%q is not a flag; known are %v", name, flagNames())
		}
		if bit == unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV && !notify {
			warnings = append(warnings, fmt.Sprintf("linux.seccomp.flags[%d]: %s has no effect without SCMP_ACT_NOTIFY", i, name))
			continue
		}
		flags |= bit
	}
	if notify {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		if flags&unix.SECCOMP_FILTER_FLAG_TSYNC != 0 {
			flags |= unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		}
	}
	return flags, warnings, nil
}

// withNeeded adds the flag without which the kernel refuses this one.
func withNeeded(flag uint32) uint32 {
	if flag == unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV {
		return flag | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	return flag
}

// kernelTakes probes for filter flags: the kernel checks them before it follows
// the pointer to the program, so that a nil one gives EFAULT for known flags
// and EINVAL for others (seccomp(2)). No filter is ever loaded.
func kernelTakes(flags uint32) bool {
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), 0)
	return errno == unix.EFAULT
}

// supportedFlags are the flags of config-linux.md that the running kernel takes, sorted.
func supportedFlags() []string {
	var names []string
	for _, name := range flagNames() {
		if kernelTakes(withNeeded(flagBit(name))) {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	return names
}
