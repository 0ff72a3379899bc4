//go:build seccomp && cgo

package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

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
