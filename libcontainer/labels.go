package libcontainer

import (
	"fmt"

	"golang.org/x/sys/unix"

	"davit/apparmor"
	"davit/libcontainer/plan"
	"davit/nsenter"
)

// apparmorExec is the file below /proc/self/attr that says what the next execve(2) changes to.
const apparmorExec = "apparmor/exec"

// apparmorLabel says how the kernel is told to confine the process by a profile.
func apparmorLabel(profile string) (plan.AppArmor, error) {
	if err := apparmor.CheckProfile(profile); err != nil {
		return plan.AppArmor{}, err
	}
	return plan.AppArmor{File: apparmorExec, Value: apparmor.ExecAttr(profile)}, nil
}

// explainLabel says of a label that the kernel refused what the errno leaves open. Other failures give nil.
func explainLabel(in *nsenter.InstrError) error {
	switch op := in.Instr.Op.(type) {
	case nsenter.Label:
		if op.File == apparmorExec {
			return apparmor.Refused(op.Value, in.Errno)
		}
		if in.Errno == unix.EINVAL {
			return unknownLabel(in, op.Value)
		}
	case nsenter.Keyring:
		if op.Label != "" && in.Errno == unix.EINVAL {
			return unknownLabel(in, op.Label)
		}
	}
	return nil
}

func unknownLabel(in *nsenter.InstrError, label string) error {
	return fmt.Errorf("%s: the SELinux policy that is loaded has no label %q: %w", in.Instr.Field, label, in.Errno)
}
