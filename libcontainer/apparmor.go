package libcontainer

import (
	"errors"

	"davit/libcontainer/plan"
)

func apparmorLabel(profile string) (plan.AppArmor, error) {
	return plan.AppArmor{}, errors.New("process.apparmorProfile: pending")
}
