package bundle

import (
	"math"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// seccomp checks a profile. Names of system calls are not looked up: profiles
// list those of newer kernels, and of other architectures.
func (c *checker) seccomp(at *path, s *specs.LinuxSeccomp) {
	c.seccompAction(at.member("defaultAction"), s.DefaultAction)
	c.errnoRet(at.member("defaultErrnoRet"), s.DefaultAction, s.DefaultErrnoRet)
	archs := at.member("architectures")
	for i, arch := range s.Architectures {
		if !isSeccompArch(arch) {
			c.failf(archs.at(i), "%q is not an architecture", arch).Hint = "for example SCMP_ARCH_X86_64"
		}
	}
	flags := at.member("flags")
	for i, flag := range s.Flags {
		switch flag {
		// The constant for the first one is missing in the types.
		case "SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow,
			specs.LinuxSeccompFlagWaitKillableRecv:
		default:
			c.failf(flags.at(i), "%q is not a flag of seccomp(2)", flag)
		}
	}
	notify := -1
	syscalls := at.member("syscalls")
	for i := range s.Syscalls {
		rule := syscalls.at(i)
		c.seccompRule(&rule, &s.Syscalls[i])
		if s.Syscalls[i].Action == specs.ActNotify && notify < 0 {
			notify = i
		}
	}
	c.seccompListener(at, s, notify)
}

// seccompListener: notify is the first rule that notifies, or negative. Without
// one listenerPath is ignored (config-linux.md).
func (c *checker) seccompListener(at *path, s *specs.LinuxSeccomp, notify int) {
	listener := at.member("listenerPath")
	if s.ListenerMetadata != "" && s.ListenerPath == "" {
		c.fail(at.member("listenerMetadata"), "must not be set without listenerPath")
	}
	if s.DefaultAction == specs.ActNotify {
		// The calls that hand the notification's descriptor to the listener
		// would wait for the listener.
		c.fail(at.member("defaultAction"), "SCMP_ACT_NOTIFY can't be the default: nobody could be notified").Hint =
			"list the system calls to be notified of in syscalls"
	}
	if notify < 0 {
		return
	}
	if s.ListenerPath == "" {
		syscalls := at.member("syscalls")
		rule := syscalls.at(notify)
		c.fail(rule.member("action"), "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath: nobody would be notified")
		return
	}
	c.absolute(listener, s.ListenerPath)
}

func (c *checker) seccompRule(at *path, r *specs.LinuxSyscall) {
	names := at.member("names")
	if len(r.Names) == 0 {
		c.fail(names, "must have at least one entry")
	}
	for i, name := range r.Names {
		if name == "" {
			c.fail(names.at(i), "must not be empty")
		}
	}
	c.seccompAction(at.member("action"), r.Action)
	c.errnoRet(at.member("errnoRet"), r.Action, r.ErrnoRet)
	args := at.member("args")
	for i := range r.Args {
		arg := args.at(i)
		// A system call has six arguments.
		if r.Args[i].Index > 5 {
			c.failf(arg.member("index"), "must be from 0 to 5, it is %d", r.Args[i].Index)
		}
		switch r.Args[i].Op {
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual,
			specs.OpGreaterThan, specs.OpMaskedEqual:
		case "":
			c.fail(arg.member("op"), "must not be empty")
		default:
			c.failf(arg.member("op"), "%q is not an operator", r.Args[i].Op).Hint = "for example SCMP_CMP_EQ"
		}
	}
}

func (c *checker) seccompAction(at path, action specs.LinuxSeccompAction) {
	switch action {
	case specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno, specs.ActTrace,
		specs.ActAllow, specs.ActLog, specs.ActNotify:
	case "":
		c.fail(at, "must not be empty")
	default:
		c.failf(at, "%q is not an action", action).Hint = "for example SCMP_ACT_ERRNO"
	}
}

// maxErrno is MAX_ERRNO of the kernel, which cuts larger ones off.
const maxErrno = 4095

func (c *checker) errnoRet(at path, action specs.LinuxSeccompAction, errno *uint) {
	if errno == nil {
		return
	}
	switch action {
	case specs.ActErrno:
		if *errno > maxErrno {
			c.failf(at, "must be at most %d, it is %d", maxErrno, *errno)
		}
	case specs.ActTrace:
		// SECCOMP_RET_DATA has 16 bits, for whatever the tracer makes of them.
		if *errno > math.MaxUint16 {
			c.failf(at, "must be at most 65535, it is %d", *errno)
		}
	default:
		c.failf(at, "%q can't carry an error number", action).Hint = "SCMP_ACT_ERRNO and SCMP_ACT_TRACE can"
	}
}

func isSeccompArch(arch specs.Arch) bool {
	switch arch {
	case specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPS,
		specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
		specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X, specs.ArchPARISC,
		specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB:
		return true
	}
	return false
}
