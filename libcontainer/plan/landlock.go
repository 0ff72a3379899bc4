package plan

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"davit/libcontainer/landlock"
	"davit/nsenter"
)

const landlockField = `annotations["` + landlock.Annotation + `"]`

// ruleset compiles the annotation run.davit.landlock up to the ruleset's
// enforcement. Its paths are opened while the stage still has the rights to.
func (b *process) ruleset() {
	policy := b.plan.landlock
	if policy == nil {
		return
	}
	b.add(landlockField, nsenter.LandlockRuleset{Attr: policy.Attr(b.plan.in.Facts.LandlockABI)})
	for _, r := range policy.Paths {
		b.add(r.Field, nsenter.LandlockPath{Path: r.Path, Fd: nsenter.None, Access: r.Access, FileAccess: r.Access & landlock.FileRights,
			Optional: boolean(policy.BestEffort)})
	}
	for _, r := range policy.Ports {
		b.add(r.Field, nsenter.LandlockPort{Port: uint64(r.Port), Access: r.Access})
	}
	if write := policy.FS & unix.LANDLOCK_ACCESS_FS_WRITE_FILE; b.plan.fifo != nsenter.None && write != 0 {
		// davit's own: the process has yet to open it for `start`. It is closed by the exec, and no path of the container's leads there.
		b.add("", nsenter.LandlockPath{Fd: b.plan.fifo, FileAccess: write})
	}
}

// restrict enforces it: after no_new_privs, or before the process gives up the
// CAP_SYS_ADMIN that landlock_restrict_self(2) asks for without it, and before
// a filter that could forbid the call.
func (b *process) restrict() {
	if b.plan.landlock != nil {
		b.add(landlockField, nsenter.LandlockRestrict{})
	}
}

// fitLandlock reads the annotation and fits it to the kernel.
func (p *Plan) fitLandlock() error {
	policy, err := landlock.Parse(p.in.Spec.Annotations)
	if err == nil && policy != nil {
		policy, err = policy.Fit(p.in.Facts.LandlockABI)
	}
	var bad *landlock.Error
	if errors.As(err, &bad) {
		return fail(bad.Field, "%s", bad.Err)
	}
	if err != nil || policy == nil {
		return err
	}
	if len(policy.Dropped) > 0 {
		p.Warnings = append(p.Warnings, &Warning{landlockField, "not enforced, because this kernel's Landlock lacks it: " + strings.Join(policy.Dropped, "; ")})
	}
	if policy.FS|policy.Net|policy.Scoped != 0 { // of a best-effort policy there may be nothing left
		p.landlock = policy
	}
	return nil
}
