package libcontainer

import (
	"davit/apparmor"
	"davit/libcontainer/plan"
)

// apparmorLabel says how the kernel is told to confine the process by a profile.
func apparmorLabel(profile string) (plan.AppArmor, error) {
	if err := apparmor.CheckProfile(profile); err != nil {
		return plan.AppArmor{}, err
	}
	return plan.AppArmor{File: "apparmor/exec", Value: apparmor.ExecAttr(profile)}, nil
}
