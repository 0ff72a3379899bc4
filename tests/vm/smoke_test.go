package vm

import (
	"os"
	"strings"
	"testing"

	"davit/tests/harness"
)

// What the other tests take for granted; without it, they would skip for a reason that isn't theirs.
func TestMachine(t *testing.T) {
	if layout, err := harness.CurrentLayout(); err != nil || layout != harness.V2 {
		t.Errorf("cgroup layout %s, %v", layout, err)
	}
	list, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"} {
		if !strings.Contains(" "+string(list), " "+c) {
			t.Errorf("no controller %s in %s", c, list)
		}
	}
	if first, err := os.ReadFile("/proc/1/comm"); err != nil || string(first) != "systemd\n" {
		t.Errorf("the first process is %q, %v", first, err)
	}
	if out := harness.New(t).Sh("echo hello"); out != "hello\n" {
		t.Errorf("a container wrote %q", out)
	}
}
