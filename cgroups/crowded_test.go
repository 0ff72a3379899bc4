package cgroups

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Below a cgroup with processes, as the one around davit in a container, there can be
// containers without limits: no controller makes their cgroup one that takes no process.
func TestParentWithProcesses(t *testing.T) {
	needRoot(t)
	l := detect(t)
	if l.Mode != V2 {
		t.Skip("for a host with cgroup v2 alone")
	}
	needController(t, "pids")
	parent := fmt.Sprintf("/davit-test-crowded-%d", os.Getpid())
	dir := l.Unified + parent
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Error(err)
		}
	})
	around := newManager(t, Config{Path: parent + "/around"})
	mustCreate(t, around)
	// So that controllers are there to be enabled.
	for _, c := range []string{"cpu", "memory", "pids"} {
		if err := enable(dir, c); err != nil {
			t.Fatal(err)
		}
	}
	newShell(t, around)
	inner := parent + "/around/inner"
	plain := newManager(t, Config{Path: inner})
	mustCreate(t, plain)
	newShell(t, plain).ask("echo here")
	if kind, err := os.ReadFile(l.Unified + inner + "/cgroup.type"); err != nil || string(kind) != "domain\n" {
		t.Errorf("cgroup.type %q, %v", kind, err)
	}
	for controller, res := range map[string]*specs.LinuxResources{
		"pids": {Pids: &specs.LinuxPids{Limit: ptr[int64](9)}}, "memory": {Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 26)}},
	} {
		limited := newManager(t, Config{Path: inner + "-" + controller, Resources: res})
		err := limited.Create()
		var absent *ControllerError
		if !errors.As(err, &absent) || absent.Controller != controller || !strings.Contains(err.Error(), "processes of its own") {
			t.Errorf("a limit on %s: %v", controller, err)
		}
	}
}
