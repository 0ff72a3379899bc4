//go:build seccomp && cgo

package seccomp

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// libseccompProgram is what libseccomp's own generator makes of a profile, for
// all architectures, without the young numbers.
func libseccompProgram(t testing.TB, p *profile, tree bool) ([]byte, error) {
	t.Helper()
	filter, err := libseccomp.NewFilter(scmpAction(p.defaultAction))
	if err != nil {
		t.Fatal(err)
	}
	defer filter.Release()
	for _, a := range p.archs {
		if err := filter.AddArch(scmpArch(a)); err != nil {
			t.Fatal(err)
		}
	}
	if tree {
		if err := filter.SetOptimize(2); err != nil {
			t.Fatal(err)
		}
	}
	for i := range p.rules {
		r := &p.rules[i]
		for _, name := range r.names {
			nr, err := libseccomp.GetSyscallFromName(name)
			if err != nil || r.action == p.defaultAction {
				continue
			}
			for _, args := range r.alternatives() {
				var conds []libseccomp.ScmpCondition
				for _, arg := range args {
					c, err := libseccomp.MakeCondition(arg.Index, scmpOperator(arg.Op), arg.Value, arg.ValueTwo)
					if err != nil {
						t.Fatal(err)
					}
					conds = append(conds, c)
				}
				if err := filter.AddRuleConditional(nr, scmpAction(r.action), conds); err != nil {
					return nil, err
				}
			}
		}
	}
	return export(filter)
}

// export reads the program back from a memfd: libseccomp writes it to a
// descriptor in one go, which on a pipe never ends when the program is larger
// than the pipe's buffer.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp-bpf", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "seccomp-bpf")
	defer f.Close()
	if err := filter.ExportBPF(f); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if size == 0 || size%insnSize != 0 {
		return nil, fmt.Errorf("exported %d bytes, which is no BPF program", size)
	}
	program := make([]byte, size)
	_, err = f.ReadAt(program, 0)
	return program, err
}

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
