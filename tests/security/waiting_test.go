package security

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Between create and start a process waits, for as long as an engine likes. In a PID namespace that it
// shares, as in a pod, another container may look at its descriptors if it has CAP_SYS_PTRACE. None of
// them leads to the host's procfs, in which nothing is masked or read-only, or to its cgroups.
func TestWaitingProcessLeadsNowhere(t *testing.T) {
	t.Parallel()
	hunter := sleeper(t, harness.Capabilities("CAP_SYS_PTRACE"))
	prey := harness.New(t, harness.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", hunter.PID())))
	prey.Create().Succeeds()
	t.Cleanup(prey.Delete)
	// A process of the host has a folder in the host's procfs alone.
	script := fmt.Sprintf(`for p in /proc/[0-9]*; do
	[ "$(cat $p/comm)" = davit-stage ] || continue
	for f in $p/fd/*; do
		echo "looked at $f"
		for up in . .. ../.. ../../..; do [ ! -e "$f/$up/%d/stat" ] && [ ! -e "$f/$up/cgroup.procs" ] || echo "out by $(readlink $f)/$up"; done
	done
done`, os.Getpid())
	r := hunter.Davit("exec", hunter.ID, "/bin/sh", "-c", script)
	r.Succeeds()
	out := r.Stdout()
	if !strings.Contains(out, "looked at") || strings.Contains(out, "out by") {
		t.Errorf("the hunter tells %q", out)
	}
	prey.Davit("start", prey.ID).Succeeds()
}
