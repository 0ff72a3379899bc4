package plan

import (
	"slices"

	"davit/nsenter"
)

// Annotations that crun brought into use and that change a plan.
const (
	// KeepGroups leaves the process the additional groups of the runtime's caller, where the
	// kernel has none to give: Podman's --group-add keep-groups. "", "0" and "false" mean no.
	KeepGroups = "run.oci.keep_original_groups"
	// MountContextType is the mount option that linux.mountLabel becomes (mount(8), FILESYSTEM-
	// INDEPENDENT MOUNT OPTIONS); without it that is context.
	MountContextType = "run.oci.mount_context_type"
)

// keepsGroups tells whether setgroups(2) is to be left out.
func keepsGroups(annotations map[string]string) bool {
	switch annotations[KeepGroups] {
	case "", "0", "false":
		return false
	}
	return true
}

// becomeRoot is what follows a user namespace's start or join.
func (c *compiler) becomeRoot() nsenter.BecomeRoot {
	if keepsGroups(c.spec.Annotations) {
		return nsenter.BecomeRoot{Groups: 0}
	}
	// An unprivileged mapping, or somebody else's namespace, may forbid setgroups(2).
	return nsenter.BecomeRoot{Groups: 2}
}

// contextOption is the name of the mount option for linux.mountLabel.
func contextOption(annotations map[string]string) (string, error) {
	name := annotations[MountContextType]
	if name == "" {
		return "context", nil
	}
	if !slices.Contains([]string{"context", "fscontext", "defcontext", "rootcontext"}, name) {
		return "", fail("annotations[\""+MountContextType+"\"]", "%q is not context, fscontext, defcontext or rootcontext", name)
	}
	return name, nil
}
