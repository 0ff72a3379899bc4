package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// action is a return value of a seccomp program: SECCOMP_RET_*, with the errno
// or the tracer's message in the lower 16 bits.
type action uint32

func (a action) kind() uint32 { return uint32(a) & unix.SECCOMP_RET_ACTION_FULL }
func (a action) data() uint16 { return uint16(uint32(a) & unix.SECCOMP_RET_DATA) }

func (a action) String() string {
	switch a.kind() {
	case unix.SECCOMP_RET_KILL_THREAD:
		return string(specs.ActKillThread)
	case unix.SECCOMP_RET_KILL_PROCESS:
		return string(specs.ActKillProcess)
	case unix.SECCOMP_RET_TRAP:
		return string(specs.ActTrap)
	case unix.SECCOMP_RET_ERRNO:
		return fmt.Sprintf("%s(%d)", specs.ActErrno, a.data())
	case unix.SECCOMP_RET_TRACE:
		return fmt.Sprintf("%s(%d)", specs.ActTrace, a.data())
	case unix.SECCOMP_RET_LOG:
		return string(specs.ActLog)
	case unix.SECCOMP_RET_USER_NOTIF:
		return string(specs.ActNotify)
	}
	return string(specs.ActAllow)
}

// maxErrno is the largest errno that libseccomp takes. The kernel has one more
// (MAX_ERRNO) and cuts larger ones down to that.
const maxErrno = 4094

// parseAction reads an action and its errno. On errors the field is "action",
// or "errnoRet" when that is the culprit.
func parseAction(name specs.LinuxSeccompAction, errnoRet *uint) (a action, culprit string, err error) {
	switch name {
	case specs.ActKill, specs.ActKillThread:
		a = unix.SECCOMP_RET_KILL_THREAD
	case specs.ActKillProcess:
		a = unix.SECCOMP_RET_KILL_PROCESS
	case specs.ActTrap:
		a = unix.SECCOMP_RET_TRAP
	case specs.ActErrno:
		a = unix.SECCOMP_RET_ERRNO
	case specs.ActTrace:
		a = unix.SECCOMP_RET_TRACE
	case specs.ActAllow:
		a = unix.SECCOMP_RET_ALLOW
	case specs.ActLog:
		a = unix.SECCOMP_RET_LOG
	case specs.ActNotify:
		a = unix.SECCOMP_RET_USER_NOTIF
	case "":
		return 0, "action", fmt.Errorf("is required")
	default:
		return 0, "action", fmt.Errorf("%q is not an action; known are %v", name, actionNames())
	}
	var limit uint
	switch a.kind() {
	case unix.SECCOMP_RET_ERRNO:
		limit = maxErrno
	case unix.SECCOMP_RET_TRACE:
		limit = unix.SECCOMP_RET_DATA
	default:
		if errnoRet != nil {
			return 0, "errnoRet", fmt.Errorf("%s can't carry an errno, only SCMP_ACT_ERRNO and SCMP_ACT_TRACE can", name)
		}
		return a, "", nil
	}
	if errnoRet == nil {
		return a | action(unix.EPERM), "", nil
	}
	if *errnoRet > limit {
		return 0, "errnoRet", fmt.Errorf("%d is out of range, %s takes 0 to %d", *errnoRet, name, limit)
	}
	return a | action(*errnoRet), "", nil
}

func actionNames() []string {
	return []string{
		string(specs.ActAllow), string(specs.ActErrno), string(specs.ActKill),
		string(specs.ActKillProcess), string(specs.ActKillThread), string(specs.ActLog),
		string(specs.ActNotify), string(specs.ActTrace), string(specs.ActTrap),
	}
}

func operatorNames() []string {
	return []string{
		string(specs.OpEqualTo), string(specs.OpGreaterEqual), string(specs.OpGreaterThan),
		string(specs.OpLessEqual), string(specs.OpLessThan), string(specs.OpMaskedEqual),
		string(specs.OpNotEqual),
	}
}

func knownOperator(op specs.LinuxSeccompOperator) bool {
	switch op {
	case specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual,
		specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual:
		return true
	}
	return false
}

// archNames are the 23 architectures of config-linux.md, sorted.
func archNames() []specs.Arch {
	return []specs.Arch{
		specs.ArchAARCH64, specs.ArchARM, specs.ArchLOONGARCH64, specs.ArchM68K,
		specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL,
		specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPARISC, specs.ArchPARISC64,
		specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchRISCV64,
		specs.ArchS390, specs.ArchS390X, specs.ArchSH, specs.ArchSHEB,
		specs.ArchX32, specs.ArchX86, specs.ArchX86_64,
	}
}

// bigEndian: the machines that davit runs on aren't, and their kernels have no such ABI.
func bigEndian(a specs.Arch) bool {
	switch a {
	case specs.ArchM68K, specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchPARISC, specs.ArchPARISC64,
		specs.ArchPPC, specs.ArchPPC64, specs.ArchS390, specs.ArchS390X, specs.ArchSHEB:
		return true
	}
	return false
}

// auditArch is the value of seccomp_data.arch for an architecture, 0 for an
// unknown name. x32 shares x86-64's and is told apart by x32Bit in the number.
func auditArch(a specs.Arch) uint32 {
	switch a {
	case specs.ArchX86:
		return unix.AUDIT_ARCH_I386
	case specs.ArchX86_64, specs.ArchX32:
		return unix.AUDIT_ARCH_X86_64
	case specs.ArchARM:
		return unix.AUDIT_ARCH_ARM
	case specs.ArchAARCH64:
		return unix.AUDIT_ARCH_AARCH64
	case specs.ArchLOONGARCH64:
		return unix.AUDIT_ARCH_LOONGARCH64
	case specs.ArchM68K:
		return unix.AUDIT_ARCH_M68K
	case specs.ArchMIPS:
		return unix.AUDIT_ARCH_MIPS
	case specs.ArchMIPS64:
		return unix.AUDIT_ARCH_MIPS64
	case specs.ArchMIPS64N32:
		return unix.AUDIT_ARCH_MIPS64N32
	case specs.ArchMIPSEL:
		return unix.AUDIT_ARCH_MIPSEL
	case specs.ArchMIPSEL64:
		return unix.AUDIT_ARCH_MIPSEL64
	case specs.ArchMIPSEL64N32:
		return unix.AUDIT_ARCH_MIPSEL64N32
	case specs.ArchPARISC:
		return unix.AUDIT_ARCH_PARISC
	case specs.ArchPARISC64:
		return unix.AUDIT_ARCH_PARISC64
	case specs.ArchPPC:
		return unix.AUDIT_ARCH_PPC
	case specs.ArchPPC64:
		return unix.AUDIT_ARCH_PPC64
	case specs.ArchPPC64LE:
		return unix.AUDIT_ARCH_PPC64LE
	case specs.ArchRISCV64:
		return unix.AUDIT_ARCH_RISCV64
	case specs.ArchS390:
		return unix.AUDIT_ARCH_S390
	case specs.ArchS390X:
		return unix.AUDIT_ARCH_S390X
	case specs.ArchSH:
		return unix.AUDIT_ARCH_SHEL // libseccomp's SCMP_ARCH_SH is the little-endian one
	case specs.ArchSHEB:
		return unix.AUDIT_ARCH_SH
	}
	return 0
}
