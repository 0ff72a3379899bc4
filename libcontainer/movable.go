package libcontainer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/landlock"
)

// errNoMounts is a container whose file tree can't be told from the host's.
var errNoMounts = errors.New("linux.namespaces: a container without a mount namespace of its own can't be moved: its files are the host's")

// movable refuses configurations of which CRIU leaves something behind without a
// word: a restored container must not have less confinement than it had.
func movable(spec *specs.Spec) error {
	if spec.Linux == nil || !slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.MountNamespace && n.Path == ""
	}) {
		return errNoMounts
	}
	field, what := "", ""
	switch {
	case spec.Annotations[landlock.Annotation] != "":
		field, what = fmt.Sprintf("annotations[%q]", landlock.Annotation), "the kernel doesn't tell what a Landlock domain restricts"
	case spec.Linux.MemoryPolicy != nil:
		field, what = "linux.memoryPolicy", "it is not in CRIU's images"
	case hasListener(spec):
		field, what = "linux.seccomp", "the listener of SCMP_ACT_NOTIFY is the agent's and not in CRIU's images"
	}
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		mapped := len(m.UIDMappings) > 0 || slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap")
		if mapped {
			field, what = fmt.Sprintf("mounts[%d] (%s)", i, m.Destination), "the mapping of a mount's ids is not in CRIU's images"
		}
	}
	if field == "" {
		return nil
	}
	return fmt.Errorf("%s: a container with this can't be moved: %s", field, what)
}
