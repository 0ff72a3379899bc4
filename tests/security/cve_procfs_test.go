package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// fakeProc makes a directory that looks like a procfs to whoever goes by names, and mounts it on /proc.
// The real one is at /real.
func fakeProc(t *testing.T, s *harness.Sandbox, files ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(s.Dir, "fake")
	for _, f := range files {
		mkdir(t, filepath.Dir(filepath.Join(dir, f)))
		writeFile(t, filepath.Join(dir, f), "fake")
	}
	s.Spec.Linux.MaskedPaths, s.Spec.Linux.ReadonlyPaths = nil, nil
	s.Edit(harness.WithoutMount("/proc"),
		harness.Mount(specs.Mount{Destination: "/proc", Source: dir, Options: []string{"bind"}}),
		harness.Mount(specs.Mount{Destination: "/real", Type: "proc", Source: "proc"}))
	return dir
}

// Where the image or a volume puts something else on /proc, what davit writes to procfs must not end up there.
func TestCVE_2019_16884(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	fake := fakeProc(t, s, "sys/net/ipv4/ip_forward", "self/attr/exec", "self/attr/apparmor/exec", "1/attr/exec", "self/oom_score_adj", "self/timens_offsets")
	s.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	s.Spec.Process.OOMScoreAdj = harness.Pointer(300)
	s.Edit(harness.Namespace(specs.TimeNamespace, ""))
	s.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000}}
	if out := s.Sh("cat /real/sys/net/ipv4/ip_forward /real/self/oom_score_adj; grep -o 'boottime.*' /real/self/timens_offsets"); strings.Join(strings.Fields(out), " ") != "1 300 boottime 1000 0" {
		t.Errorf("the real values are %q", out)
	}
	if got := readFile(t, filepath.Join(fake, "sys/net/ipv4/ip_forward")) + readFile(t, filepath.Join(fake, "self/oom_score_adj")); got != "fakefake" {
		t.Errorf("davit wrote to the fake: %q", got)
	}
}

// A fake procfs whose files are links: what is written must not be redirected to a file of the attacker's choice,
// such as /proc/sysrq-trigger or core_pattern.
func TestCVE_2025_52881(t *testing.T) {
	t.Parallel()
	redirected(t, map[string]string{"net.ipv4.ip_forward": "1"}, nil, "sys/net/ipv4/ip_forward", "self/attr/exec", "thread-self/attr/exec", "self/attr/apparmor/exec")
}

// The same by way of the files of a process.
func TestCVE_2025_62596(t *testing.T) {
	t.Parallel()
	redirected(t, nil, harness.Pointer(300), "self/oom_score_adj", "1/oom_score_adj", "thread-self/oom_score_adj", "self/loginuid", "self/timens_offsets")
}

func redirected(t *testing.T, sysctl map[string]string, oom *int, files ...string) {
	t.Helper()
	for _, through := range []string{"/real/sys/kernel/core_pattern", "/bait"} {
		s := harness.New(t)
		o := newOutside(t, s)
		fake := fakeProc(t, s, files...)
		for _, f := range files {
			at := filepath.Join(fake, f)
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(through, at); err != nil {
				t.Fatal(err)
			}
		}
		s.WriteFile("/bait", "bait", 0o666)
		s.Spec.Linux.Sysctl, s.Spec.Process.OOMScoreAdj = sysctl, oom
		pattern := readFile(t, "/proc/sys/kernel/core_pattern")
		r := s.Run(harness.Shell("cat /bait"))
		hasReason(t, "a fake /proc", r)
		if r.Code == 0 && r.Stdout() != "bait" {
			t.Errorf("what davit writes went to %q", r.Stdout())
		}
		if now := readFile(t, "/proc/sys/kernel/core_pattern"); now != pattern {
			t.Errorf("the host's core_pattern is now %q", now)
		}
		o.unchanged("a fake /proc")
	}
}

// /proc as a link.
func TestCVE_2019_19921(t *testing.T) { t.Parallel(); everyLink(t, "/proc", true) }

// /sys as a link.
func TestCVE_2023_27561(t *testing.T) { t.Parallel(); everyLink(t, "/sys", true) }

// /proc as a link to a volume of the container's, where masks and labels would be the attacker's.
func TestCVE_2023_28642(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc", "/sys"} {
		s := harness.New(t)
		volume := filepath.Join(s.Dir, "volume")
		mkdir(t, filepath.Join(volume, "sub"))
		replace(t, s, path, "/volume/sub")
		// Before the others: it is there when /proc is mounted.
		s.Spec.Mounts = append([]specs.Mount{{Destination: "/volume", Source: volume, Options: []string{"bind"}}}, s.Spec.Mounts...)
		s.Run(harness.Shell("mount")).Fails(path)
		if left, err := os.ReadDir(filepath.Join(volume, "sub")); err != nil || len(left) > 0 {
			t.Errorf("%s: in the volume there is %v, %v", path, left, err)
		}
	}
}

// Links on the way to /proc and /sys, and the ways around a check of the last component.
func TestCVE_2025_54867(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ link, destination, fstype string }{
		{"/a", "/a/proc", "proc"}, {"/a", "/a/sys", "sysfs"}, {"/proc", "/proc/", "proc"}, {"/proc", "//proc/.", "proc"}, {"/sys", "/x/../sys", "sysfs"},
	} {
		s := harness.New(t, harness.WithoutMounts())
		o := newOutside(t, s)
		replace(t, s, c.link, climb+o.dir)
		r := s.Run(harness.Mount(specs.Mount{Destination: c.destination, Type: c.fstype, Source: c.fstype}))
		r.Fails(c.destination)
		o.unchanged(c.destination)
	}
}
