//go:build seccomp && cgo

package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

func scmpAction(a action) libseccomp.ScmpAction {
	switch a.kind() {
	case unix.SECCOMP_RET_KILL_THREAD:
		return libseccomp.ActKillThread
	case unix.SECCOMP_RET_KILL_PROCESS:
		return libseccomp.ActKillProcess
	case unix.SECCOMP_RET_TRAP:
		return libseccomp.ActTrap
	case unix.SECCOMP_RET_ERRNO:
		return libseccomp.ActErrno.SetReturnCode(int16(a.data()))
	case unix.SECCOMP_RET_TRACE:
		return libseccomp.ActTrace.SetReturnCode(int16(a.data()))
	case unix.SECCOMP_RET_ALLOW:
		return libseccomp.ActAllow
	case unix.SECCOMP_RET_LOG:
		return libseccomp.ActLog
	case unix.SECCOMP_RET_USER_NOTIF:
		return libseccomp.ActNotify
	}
	return libseccomp.ActInvalid
}

func scmpOperator(op specs.LinuxSeccompOperator) libseccomp.ScmpCompareOp {
	switch op {
	case specs.OpNotEqual:
		return libseccomp.CompareNotEqual
	case specs.OpLessThan:
		return libseccomp.CompareLess
	case specs.OpLessEqual:
		return libseccomp.CompareLessOrEqual
	case specs.OpEqualTo:
		return libseccomp.CompareEqual
	case specs.OpGreaterEqual:
		return libseccomp.CompareGreaterEqual
	case specs.OpGreaterThan:
		return libseccomp.CompareGreater
	case specs.OpMaskedEqual:
		return libseccomp.CompareMaskedEqual
	}
	return libseccomp.CompareInvalid
}

func scmpArch(a specs.Arch) libseccomp.ScmpArch {
	switch a {
	case specs.ArchX86:
		return libseccomp.ArchX86
	case specs.ArchX86_64:
		return libseccomp.ArchAMD64
	case specs.ArchX32:
		return libseccomp.ArchX32
	case specs.ArchARM:
		return libseccomp.ArchARM
	case specs.ArchAARCH64:
		return libseccomp.ArchARM64
	case specs.ArchLOONGARCH64:
		return libseccomp.ArchLOONGARCH64
	case specs.ArchM68K:
		return libseccomp.ArchM68K
	case specs.ArchMIPS:
		return libseccomp.ArchMIPS
	case specs.ArchMIPS64:
		return libseccomp.ArchMIPS64
	case specs.ArchMIPS64N32:
		return libseccomp.ArchMIPS64N32
	case specs.ArchMIPSEL:
		return libseccomp.ArchMIPSEL
	case specs.ArchMIPSEL64:
		return libseccomp.ArchMIPSEL64
	case specs.ArchMIPSEL64N32:
		return libseccomp.ArchMIPSEL64N32
	case specs.ArchPARISC:
		return libseccomp.ArchPARISC
	case specs.ArchPARISC64:
		return libseccomp.ArchPARISC64
	case specs.ArchPPC:
		return libseccomp.ArchPPC
	case specs.ArchPPC64:
		return libseccomp.ArchPPC64
	case specs.ArchPPC64LE:
		return libseccomp.ArchPPC64LE
	case specs.ArchRISCV64:
		return libseccomp.ArchRISCV64
	case specs.ArchS390:
		return libseccomp.ArchS390
	case specs.ArchS390X:
		return libseccomp.ArchS390X
	case specs.ArchSH:
		return libseccomp.ArchSH
	case specs.ArchSHEB:
		return libseccomp.ArchSHEB
	}
	return libseccomp.ArchInvalid
}
