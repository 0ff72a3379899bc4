package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// cgroupOptions replaces the options of the mount of cgroups.
func cgroupOptions(options ...string) harness.Edit {
	return func(s *specs.Spec) {
		for i := range s.Mounts {
			if m := &s.Mounts[i]; m.Type == "cgroup" {
				m.Options = options
			}
		}
	}
}

func layout(t *testing.T) harness.Layout {
	t.Helper()
	l, err := harness.CurrentLayout()
	must(t, err)
	return l
}

// The container finds what the host has: all version 1 hierarchies below a tmpfs, on hybrid hosts the
// unified one beside them, or that one alone. Each shows the container's part only.
func TestCgroupMountTree(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]harness.Edit{
		"namespace": func(*specs.Spec) {}, "no namespace": harness.WithoutNamespace(specs.CgroupNamespace), "user namespace": harness.UserNamespace(100000, 65536),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, edit)
			if name == "user namespace" {
				must(t, os.Chown(s.Rootfs, 100000, 100000))
			}
			out := s.Sh("cat /proc/self/mountinfo; ls -A /sys/fs/cgroup; find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs -exec cat {} +")
			top := mountAt(t, out, "/sys/fs/cgroup")
			if layout(t) == harness.V2 {
				if top.fstype != "cgroup2" || !top.has("ro") {
					t.Errorf("/sys/fs/cgroup is %+v", top)
				}
				return
			}
			if top.fstype != "tmpfs" || !top.has("ro") {
				t.Errorf("/sys/fs/cgroup is %+v", top)
			}
			host, err := os.ReadDir("/sys/fs/cgroup")
			must(t, err)
			for _, e := range host {
				if !e.IsDir() {
					continue
				}
				m := mountAt(t, out, "/sys/fs/cgroup/"+e.Name())
				want := "cgroup"
				if e.Name() == "unified" {
					want = "cgroup2"
				}
				if m.fstype != want || !m.has("ro") || !m.has("nosuid") || !m.has("nodev") || !m.has("noexec") {
					t.Errorf("%s is %+v", m.at, m)
				}
				if inNamespace := name != "no namespace"; inNamespace != (m.root == "/") {
					t.Errorf("%s shows %s of its hierarchy", m.at, m.root)
				}
			}
			// Its own processes and no others: 1 is the shell, as each hierarchy sees it.
			if !strings.Contains(out, "\n1\n") || strings.Contains(out, "\n0\n") {
				t.Errorf("processes of elsewhere are seen:\n%s", out)
			}
		})
	}
}

// A writable mount is delegated: the container makes cgroups of its own, and davit removes them with it.
func TestCgroupMountWritable(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]harness.Edit{"root": func(*specs.Spec) {}, "user namespace": harness.UserNamespace(100000, 65536)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, edit, cgroupOptions("nosuid", "noexec", "nodev", "relatime"), harness.AllCapabilities())
			dir := "/sys/fs/cgroup"
			if layout(t) != harness.V2 {
				// Of version 1 nothing is given to another user (C3): its files can't be shared safely.
				if name == "user namespace" {
					t.Skip("delegation is for the unified hierarchy")
				}
				dir = "/sys/fs/cgroup/memory"
			}
			if name == "user namespace" {
				must(t, os.Chown(s.Rootfs, 100000, 100000))
			}
			if out := s.Sh("mkdir " + dir + "/sub && echo $$ >" + dir + "/sub/cgroup.procs && grep -c :/sub$ /proc/self/cgroup"); out != "1\n" {
				t.Errorf("got %q", out)
			}
		})
	}
}

// The unified hierarchy can be asked for by its own type, beside or without the others.
func TestCgroupMountUnifiedOnly(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutMount("/sys/fs/cgroup"), harness.Mount(specs.Mount{Destination: "/unified", Type: "cgroup2", Source: "cgroup", Options: []string{"ro", "nosuid"}}))
	if layout(t) == harness.V1 {
		s.Run().Fails("mounts[6] (/unified)", "no unified cgroup hierarchy")
		return
	}
	if m := mountAt(t, s.Sh("cat /proc/self/mountinfo"), "/unified"); m.fstype != "cgroup2" || !m.has("ro") || !m.has("nosuid") || m.root != "/" {
		t.Errorf("mounted is %+v", m)
	}
}

// Filesystem options that no hierarchy takes are an error, not dropped.
func TestCgroupMountOptions(t *testing.T) {
	t.Parallel()
	s := harness.New(t, cgroupOptions("ro", "no_such_option"))
	s.Run().Fails("mounts[6] (/sys/fs/cgroup)", "no_such_option")
	s.Edit(cgroupOptions("ro", "rprivate"))
	out := s.Sh("cat /proc/self/mountinfo")
	for _, m := range parseMounts(out) {
		if strings.HasPrefix(m.at, "/sys/fs/cgroup") && (m.tagged("shared") || m.tagged("master")) {
			t.Errorf("%s is not private: %v", m.at, m.tags)
		}
	}
}
