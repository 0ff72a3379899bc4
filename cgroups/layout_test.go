package cgroups

import (
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMountinfo(t *testing.T) {
	for _, c := range []struct {
		name, table string
		hidden      string // a mount point that a look-up doesn't find
		want        Layout
	}{
		{"nothing", "22 1 0:20 / /proc rw - proc proc rw\n", "", Layout{}},
		{"v1, co-mounted and named", `
23 31 0:21 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd
24 31 0:22 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
25 31 0:23 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory
`, "", Layout{Mode: V1, V1: []Hierarchy{
			{Mountpoint: "/sys/fs/cgroup/systemd", Name: "systemd"},
			{Mountpoint: "/sys/fs/cgroup/cpu,cpuacct", Controllers: []string{"cpu", "cpuacct"}},
			{Mountpoint: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}}}}},
		{"hybrid", `
25 31 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
26 31 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
`, "", Layout{Mode: Hybrid, Unified: "/sys/fs/cgroup/unified", V1: []Hierarchy{{Mountpoint: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}}}}},
		{"v2 elsewhere, with a space", `
26 31 0:24 / /mnt/my\040groups rw - cgroup2 none rw
`, "", Layout{Mode: V2, Unified: "/mnt/my groups"}},
		{"mounted twice", `
25 31 0:23 / /mnt/memory rw - cgroup cgroup rw,memory
26 31 0:23 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
27 31 0:23 / /mnt/other rw - cgroup cgroup rw,memory
`, "", Layout{Mode: V1, V1: []Hierarchy{{Mountpoint: "/sys/fs/cgroup/memory", Root: "/docker/x", Controllers: []string{"memory"}}}}},
		{"hidden by a later mount", `
25 31 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
26 31 0:23 / /mnt/memory rw - cgroup cgroup rw,memory
`, "/sys/fs/cgroup/memory", Layout{Mode: V1, V1: []Hierarchy{{Mountpoint: "/mnt/memory", Controllers: []string{"memory"}}}}},
		{"damaged lines", "25 31\n25 31 0:23 / /x - cgroup\n - cgroup2\n", "", Layout{}},
	} {
		visible := func(path string, dev uint64) bool { return path != c.hidden && dev >= unix.Mkdev(0, 20) }
		if got := parseMountinfo(strings.TrimPrefix(c.table, "\n"), visible); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, *got, c.want)
		}
	}
}

func TestDetect(t *testing.T) {
	l := detect(t)
	var fs unix.Statfs_t
	for _, h := range l.V1 {
		if err := unix.Statfs(h.Mountpoint, &fs); err != nil || fs.Type != unix.CGROUP_SUPER_MAGIC {
			t.Errorf("%+v is no version 1 mount: %v", h, err)
		}
	}
	if l.Unified != "" {
		if err := unix.Statfs(l.Unified, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			t.Errorf("%s is no cgroup2 mount: %v", l.Unified, err)
		}
	}
	t.Logf("%s: %d version 1 hierarchies, unified at %q", l.Mode, len(l.V1), l.Unified)
}

func TestPaths(t *testing.T) {
	for _, c := range []struct{ path, id, want string }{
		{"", "c1", "/davit-c1"},
		{"/a/b", "c1", "/a/b"},
		{"/a//b/./c/", "c1", "/a/b/c"},
		{"a/b", "c1", "/davit/a/b"},
		{"system.slice:docker:c1", "c1", "/davit/system.slice:docker:c1"},
		{"a..b", "c1", "/davit/a..b"},
		{"/", "c1", ""},
		{".", "c1", ""},
		{"//", "c1", ""},
		{"..", "c1", ""},
		{"/a/../b", "c1", ""},
		{"a/..", "c1", ""},
		{"/a\nb", "c1", ""},
		{"/a\x00b", "c1", ""},
		{"", "", ""},
		{"", "a/b", ""},
		{"", "../x", ""},
	} {
		got, err := cgroupPath(c.path, c.id)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %q: %q, %v; want %q", c.path, c.id, got, err, c.want)
		}
	}
}

func TestNewAndOpen(t *testing.T) {
	m, err := New(onV1, &Config{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	paths := m.Paths()
	for controller, want := range map[string]string{
		"cpu": "/sys/fs/cgroup/cpu,cpuacct/davit-x", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/davit-x", "name=systemd": "/sys/fs/cgroup/systemd/davit-x",
	} {
		if paths[controller] != want {
			t.Errorf("%s: %q, want %q", controller, paths[controller], want)
		}
	}
	again, err := Open(paths, &Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Paths(); !reflect.DeepEqual(got, paths) {
		t.Errorf("opened: %v", got)
	}
	if n := len(again.(*manager).groups); n != len(onV1.V1) {
		t.Errorf("%d groups for %d hierarchies", n, len(onV1.V1))
	}
	for _, bad := range []string{"", "/", "/x", "relative/x", "/sys/fs/cgroup/../x", "/sys/fs/cgroup/x/"} {
		if _, err := Open(map[string]string{"": bad}, &Config{}); err == nil {
			t.Errorf("%q was opened", bad)
		}
	}
}

// TestOpenElsewhere makes sure that a damaged record can't lead anywhere else than to
// a cgroup below a mount point.
func TestOpenElsewhere(t *testing.T) {
	dirs := []string{t.TempDir()}
	for _, h := range detect(t).V1 {
		dirs = append(dirs, h.Mountpoint)
	}
	for _, dir := range dirs {
		m, err := Open(map[string]string{"": dir}, &Config{})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := m.Pids(true); err == nil {
			t.Errorf("%s: listed %d processes", dir, len(list))
		}
		if err := m.Destroy(); err == nil {
			t.Errorf("%s: was destroyed", dir)
		}
		m.Close()
	}
}
