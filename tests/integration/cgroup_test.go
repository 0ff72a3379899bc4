package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// controller finds the file of a container's cgroup that limits something: first v1's, then v2's. It skips where this host has neither.
func controller(t *testing.T, s *harness.Sandbox, v1dir, v1file, v2file string) string {
	t.Helper()
	for _, path := range []string{"/sys/fs/cgroup/" + v1dir + "/" + s.ID + "/" + v1file, "/sys/fs/cgroup/" + s.ID + "/" + v2file} {
		if data, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(data))
		}
	}
	t.Fatalf("the container has no cgroup with %s or %s", v1file, v2file)
	return ""
}

// hasController tells whether a controller can be used in the layout that the tests run in.
func hasController(name string) bool {
	if _, err := os.Stat("/sys/fs/cgroup/" + name); err == nil {
		return true
	}
	list, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return strings.Contains(" "+strings.TrimSpace(string(list))+" ", " "+name+" ")
}

func TestCgroupLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		controller     string
		resources      specs.LinuxResources
		v1file, v2file string
		v1, v2         string
	}{
		{"memory", specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: harness.Pointer(int64(64 << 20))}}, "memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{"pids", specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(77))}}, "pids.max", "pids.max", "77", "77"},
		{"cpu", specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: harness.Pointer(uint64(512))}}, "cpu.shares", "cpu.weight", "512", "59"},
	} {
		t.Run(c.controller, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "100"))
			s.Spec.Linux.Resources = &c.resources
			if !hasController(c.controller) {
				// Not silently dropped: the error says which controller is missing.
				s.Run().Fails("linux.resources", c.controller)
				return
			}
			s.Create().Succeeds()
			if got := controller(t, s, c.controller, c.v1file, c.v2file); got != c.v1 && got != c.v2 {
				t.Errorf("the limit is %s", got)
			}
			s.Delete()
		})
	}
}

func TestCgroupPidsLimitWorks(t *testing.T) {
	t.Parallel()
	if !hasController("pids") {
		t.Skip("the pids controller is not available in this cgroup layout")
	}
	s := harness.New(t)
	s.Spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(5))}}
	if r := s.Run(harness.Shell("for i in 1 2 3 4 5 6; do sleep 1 & done; wait")); !strings.Contains(r.Stderr(), "fork") {
		t.Errorf("six processes ran under a limit of five: %d %s", r.Code, r.Stderr())
	}
}

// The container sees its own cgroup as the root, and can't change it.
func TestCgroupNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	out := s.Sh("cat /proc/self/cgroup; cat $(find /sys/fs/cgroup -name cgroup.procs -maxdepth 2 | head -1) | head -1; mkdir /sys/fs/cgroup/x 2>&1 || true")
	if strings.Contains(out, s.ID) || !strings.Contains(out, ":/\n1\n") || !strings.Contains(out, "Read-only file system") {
		t.Errorf("cgroups are seen as\n%s", out)
	}
}

// Without cgroup namespace the mounts show the container's cgroup all the same.
func TestCgroupMountWithoutNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutNamespace(specs.CgroupNamespace))
	out := s.Sh("cat /proc/self/cgroup; cat $(find /sys/fs/cgroup -name cgroup.procs -maxdepth 2 | head -1) | head -1")
	if !strings.Contains(out, ":/"+s.ID+"\n") || !strings.Contains(out, "\n1\n") {
		t.Errorf("got\n%s", out)
	}
}

func TestCgroupPaths(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"nested": "/%s/a/b", "relative": "%s-relative/a", "default": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.WithoutNamespace(specs.CgroupNamespace))
			if path != "" {
				path = fmt.Sprintf(path, s.ID)
			}
			s.Spec.Linux.CgroupsPath = path
			if name == "nested" {
				t.Cleanup(func() { removeCgroups(s.ID+"/a", s.ID) })
			}
			if out := s.Sh("cat /proc/self/cgroup"); !strings.Contains(out, s.ID) {
				t.Errorf("cgroupsPath %q: the process is in\n%s", path, out)
			}
		})
	}
}

// removeCgroups removes what an engine has made, or davit for it: parents of an absolute cgroupsPath stay.
func removeCgroups(paths ...string) {
	for _, p := range paths {
		mounts, _ := filepath.Glob("/sys/fs/cgroup/*/" + p)
		for _, dir := range append(mounts, "/sys/fs/cgroup/"+p) {
			_ = unix.Rmdir(dir)
		}
	}
}

// With --cgroup-manager disabled the container stays in its caller's cgroups, which it can look at, and limits are errors.
func TestCgroupManagerDisabled(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("/proc/self/cgroup")
	must(t, err)
	s := harness.New(t, harness.WithoutNamespace(specs.CgroupNamespace), cgroupOptions("rw", "nosuid"))
	s.Flags = []string{"--cgroup-manager", "disabled"}
	s.Spec.Linux.Resources = nil
	r := s.Run(harness.Shell("cat /proc/self/cgroup; for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/escaped 2>/dev/null && [ -e $d/escaped/cgroup.procs ] && echo $d is writable; done; true"))
	if r.Stdout() != string(own) {
		t.Errorf("the container is in\n%s, this test in\n%s", r.Stdout(), own)
	}
	if !strings.Contains(r.Stderr(), "linux.cgroupsPath: ignored") || !strings.Contains(r.Stderr(), "(/sys/fs/cgroup): ") || !strings.Contains(r.Stderr(), "read-only") {
		t.Errorf("the warnings are %q", r.Stderr())
	}
	s.Spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(5))}}
	s.Run().Fails("linux.resources.pids.limit", "the container has no cgroup")
	s.Davit("check", s.Bundle).FailsWith(1)

	s.Spec.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}} // which Podman sends as root
	if r := s.Run(harness.Args("/bin/true")); r.Code != 0 || !strings.Contains(r.Stderr(), "linux.resources.devices: not enforced") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr())
	}
	s.Edit(harness.Args("/bin/sleep", "100"))
	start(s)
	s.Flags = nil // engines don't say it again
	s.Davit("exec", s.ID, "/bin/true").Succeeds()
	s.Davit("pause", s.ID).Fails("cgroup")
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
}

// Two containers never share a cgroup by accident (C1): the first one's processes would be killed with the second.
func TestCgroupTaken(t *testing.T) {
	t.Parallel()
	first := harness.New(t, harness.Args("/bin/sleep", "100"))
	start(first)
	second := harness.New(t)
	second.Spec.Linux.CgroupsPath = "/" + first.ID
	second.Run().Fails("cgroup")
	second.Davit("delete", "--force", second.ID).Succeeds()
	if st := first.State().Status; st != specs.StateRunning {
		t.Errorf("the first container is %s", st)
	}
	first.Delete()
}
