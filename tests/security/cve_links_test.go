package security

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

func node(path string) harness.Edit {
	return func(c *specs.Spec) {
		c.Linux.Devices = append(c.Linux.Devices, specs.LinuxDevice{Path: path, Type: "c", Major: 1, Minor: 3})
	}
}

// Any mount point, device, masked path or working directory as a link.
func TestCVE_2019_18837(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path string
		edit       harness.Edit
	}{
		{"tmpfs", "/m", harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs"})},
		{"parent of tmpfs", "/m", harness.Mount(specs.Mount{Destination: "/m/a/b", Type: "tmpfs", Source: "tmpfs"})},
		{"file", "/etc/file", harness.Mount(specs.Mount{Destination: "/etc/file", Source: "/proc/version", Options: []string{"bind"}})},
		{"device", "/nodes", node("/nodes/node")},
		{"working directory", "/job", func(c *specs.Spec) { c.Process.Cwd = "/job/below" }},
		{"masked path", "/hidden", func(c *specs.Spec) { c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/hidden", "/hidden/file") }},
		{"read-only path", "/fixed", func(c *specs.Spec) { c.Linux.ReadonlyPaths = append(c.Linux.ReadonlyPaths, "/fixed", "/fixed/file") }},
		{"passwd", "/etc/passwd", func(*specs.Spec) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			everyLinkOnce(t, c.path, c.edit)
		})
	}
}

// everyLinkOnce is everyLink in one test, for what may succeed.
func everyLinkOnce(t *testing.T, path string, edits ...harness.Edit) {
	t.Helper()
	for name := range (&outside{dir: "/"}).links() {
		s := harness.New(t, edits...)
		o := newOutside(t, s)
		replace(t, s, path, o.links()[name])
		hasReason(t, path+" is a link", s.Run())
		o.unchanged(path + " -> " + o.links()[name])
	}
}

// /dev as a link, with nothing mounted there: device nodes were made outside of the rootfs.
func TestCVE_2026_41579(t *testing.T) {
	t.Parallel()
	everyLink(t, "/dev", false, append(withoutDev(), node("/dev/more/node"))...)
}

// The same for a /dev that is a link somewhere on the way, and for links in the image's own /dev.
func TestCVE_2026_47766(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/dev/more", "/dev/null", "/dev/pts", "/dev/fd", "/dev/ptmx"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			everyLinkOnce(t, path, append(withoutDev(), node("/dev/more/node"))...)
		})
	}
}

// A file that the runtime leaves in the rootfs for a virtual machine monitor, by a name that the image made a link.
func TestCVE_2025_24965(t *testing.T) {
	t.Parallel()
	for _, handler := range []string{"", "krun", "wasm"} {
		s := harness.New(t)
		o := newOutside(t, s)
		for _, name := range []string{".krun_config.json", ".krun_vm.json", "krun-sev.json"} {
			replace(t, s, "/"+name, climb+o.dir+"/"+name)
		}
		if handler != "" {
			s.Spec.Annotations = map[string]string{"run.oci.handler": handler}
		}
		before := rootEntries(t, s)
		hasReason(t, "handler "+handler, s.Run())
		o.unchanged("handler " + handler)
		if now := rootEntries(t, s); now != before {
			t.Errorf("handler %q: the rootfs had %s and has %s", handler, before, now)
		}
	}
}

func rootEntries(t *testing.T, s *harness.Sandbox) string {
	t.Helper()
	list, err := os.ReadDir(s.Rootfs)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}

// Paths are masked by the host's /dev/null, whatever the image has for one.
func TestCVE_2025_31133(t *testing.T) {
	t.Parallel()
	masked(t, func(t *testing.T, s *harness.Sandbox) { replace(t, s, "/dev/null", "/bait") })
}

// The same with a /dev/null that is a file, another device, or a link out of the container.
func TestCVE_2025_62161(t *testing.T) {
	t.Parallel()
	for _, bait := range []func(*testing.T, *harness.Sandbox){
		func(_ *testing.T, s *harness.Sandbox) { s.WriteFile("/dev/null", "bait", 0o666) },
		func(t *testing.T, s *harness.Sandbox) {
			clear(t, s, "/dev/null")
			makeNode(t, s.Path("/dev/null"), 1, 5)
		},
		func(t *testing.T, s *harness.Sandbox) { replace(t, s, "/dev/null", climb+s.Dir+"/outside/null-to-be") },
		func(t *testing.T, s *harness.Sandbox) { replace(t, s, "/dev/null", "/proc/sys/kernel/core_pattern") },
	} {
		masked(t, bait)
	}
}

func masked(t *testing.T, prepare func(*testing.T, *harness.Sandbox)) {
	t.Helper()
	s := harness.New(t, withoutDev()...)
	o := newOutside(t, s)
	s.WriteFile("/secret", "secret", 0o644)
	s.WriteFile("/bait", "bait", 0o666)
	prepare(t, s)
	s.Spec.Linux.MaskedPaths = append(s.Spec.Linux.MaskedPaths, "/secret")
	r := s.Run(harness.Shell("cat /secret; stat -c %t:%T /secret"))
	hasReason(t, "a /dev/null of the image's", r)
	if r.Code == 0 && r.Stdout() != "1:3\n" {
		t.Errorf("the masked file is %q", r.Stdout())
	}
	o.unchanged("masking")
}

func terminal(c *specs.Spec) { c.Process.Terminal = true }

// The terminal's places in /dev as links, or as things that only look like them.
func TestCVE_2025_52565(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/dev/console", "/dev/pts", "/dev/ptmx", "/dev"} {
		s := harness.New(t, terminal, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"), harness.Args("/bin/sleep", "100"))
		o := newOutside(t, s)
		if path == "/dev/pts" {
			s.Edit(harness.WithoutMount("/dev/pts"))
		}
		replace(t, s, path, climb+o.dir)
		socket := filepath.Join(s.Dir, "c")
		harness.ConsoleSocket(t, socket)
		hasReason(t, path, s.Create("--console-socket", socket))
		o.unchanged(path)
		s.Delete()
	}
}

// What is mounted for cgroups is the container's own, whether or not there is a cgroup namespace: never the host's hierarchy.
func TestCVE_2023_25809(t *testing.T) {
	rw := specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}}
	for _, edits := range [][]harness.Edit{
		{harness.WithoutNamespace(specs.CgroupNamespace)},
		{harness.WithoutNamespace(specs.CgroupNamespace), harness.UserNamespace(0, 1000)},
		{harness.UserNamespace(100000, 1000)},
		{harness.WithoutNamespace(specs.CgroupNamespace), harness.UserNamespace(0, 1000), harness.WithoutNamespace(specs.NetworkNamespace), harness.WithoutMount("/sys"),
			harness.Mount(specs.Mount{Destination: "/sys", Source: "/sys", Options: []string{"rbind", "ro"}})},
	} {
		s := harness.New(t, append(edits, harness.WithoutMount("/sys/fs/cgroup"), harness.Mount(rw), harness.Args("/bin/sleep", "1000"))...)
		s.Create().Succeeds()
		shown := make(map[string]string) // by mount point, the topmost mount
		for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/mountinfo", s.PID()))) {
			if f := strings.Fields(line); strings.HasPrefix(f[4], "/sys/fs/cgroup") && strings.Contains(line, " - cgroup") {
				shown[f[4]] = f[3]
			}
		}
		for at, root := range shown {
			if !strings.Contains(root, s.ID) {
				t.Errorf("the container has %s of the hierarchy at %s", root, at)
			}
		}
		if len(shown) == 0 {
			t.Error("no cgroups are mounted")
		}
		s.Delete()
	}
}

func TestCVE_2023_25809_OtherLayouts(t *testing.T) {
	for _, layout := range []harness.Layout{harness.V1, harness.V2} {
		t.Run(string(layout), func(t *testing.T) { harness.InLayout(t, layout, "^TestCVE_2023_25809$") })
	}
}
