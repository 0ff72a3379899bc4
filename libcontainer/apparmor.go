package libcontainer

import (
	"davit/apparmor"
	"davit/libcontainer/plan"
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
