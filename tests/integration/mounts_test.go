package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// mountLine is a line of /proc/self/mountinfo, proc_pid_mountinfo(5).
type mountLine struct {
	root, at, fstype, source string
	options                  []string // of the mount
	tags                     []string // shared:N, master:N, unbindable
	super                    []string // of the superblock
}

func (m *mountLine) has(opt string) bool    { return slices.Contains(m.options, opt) }
func (m *mountLine) superHas(o string) bool { return slices.Contains(m.super, o) }
func (m *mountLine) tagged(t string) bool {
	return slices.ContainsFunc(m.tags, func(s string) bool { return strings.HasPrefix(s, t) })
}

func parseMounts(table string) []mountLine {
	var all []mountLine
	for line := range strings.Lines(table) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		all = append(all, mountLine{root: f[3], at: f[4], options: strings.Split(f[5], ","), tags: f[6:],
			fstype: g[0], source: g[1], super: strings.Split(g[2], ",")})
	}
	return all
}

// mountAt is the topmost mount at a place in the table.
func mountAt(t *testing.T, table, at string) *mountLine {
	t.Helper()
	all := parseMounts(table)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].at == at {
			return &all[i]
		}
	}
	t.Fatalf("nothing is mounted on %s:\n%s", at, table)
	return nil
}

// optionCase says what an option does to a mount that is made with more options before it.
type optionCase struct {
	options string // comma-separated
	want    string // options that mountinfo shows
	wantNot string // options that it doesn't
	super   string // options of the superblock that it shows
	superNo string
}

// attributeCases are options that work on every mount.
func attributeCases() []optionCase {
	return []optionCase{
		{options: "ro", want: "ro", wantNot: "rw"},
		{options: "rw", want: "rw", wantNot: "ro"},
		{options: "ro,rw", want: "rw", wantNot: "ro"},
		{options: "rw,ro", want: "ro", wantNot: "rw"},
		{options: "nosuid", want: "nosuid"},
		{options: "nosuid,suid", wantNot: "nosuid"},
		{options: "nodev", want: "nodev"},
		{options: "nodev,dev", wantNot: "nodev"},
		{options: "noexec", want: "noexec"},
		{options: "noexec,exec", wantNot: "noexec"},
		{options: "nodiratime", want: "nodiratime"},
		{options: "nodiratime,diratime", wantNot: "nodiratime"},
		{options: "noatime", want: "noatime", wantNot: "relatime"},
		{options: "noatime,atime", wantNot: "noatime"},
		{options: "relatime", want: "relatime", wantNot: "noatime"},
		{options: "noatime,relatime", want: "relatime", wantNot: "noatime"},
		{options: "strictatime", wantNot: "relatime,noatime"},
		{options: "strictatime,relatime", want: "relatime"},
		{options: "strictatime,nostrictatime", want: "relatime"},
		{options: "norelatime", wantNot: "noatime"},
		{options: "defaults", want: "rw"},
		{options: "silent", want: "rw"},
		{options: "loud", want: "rw"},
		{options: "nosymfollow", want: "nosymfollow"},
		{options: "nosymfollow,symfollow", wantNot: "nosymfollow"},
		{options: "nosuid,nodev,noexec,ro,noatime,nodiratime", want: "nosuid,nodev,noexec,ro,noatime,nodiratime"},
		// The recursive forms (M5).
		{options: "rro", want: "ro"},
		{options: "rro,rrw", want: "rw"},
		{options: "rnosuid", want: "nosuid"},
		{options: "rnosuid,rsuid", wantNot: "nosuid"},
		{options: "rnodev", want: "nodev"},
		{options: "rnodev,rdev", wantNot: "nodev"},
		{options: "rnoexec", want: "noexec"},
		{options: "rnoexec,rexec", wantNot: "noexec"},
		{options: "rnodiratime", want: "nodiratime"},
		{options: "rnodiratime,rdiratime", wantNot: "nodiratime"},
		{options: "rnoatime", want: "noatime"},
		{options: "rnoatime,ratime", wantNot: "noatime"},
		{options: "rrelatime", want: "relatime"},
		{options: "rnorelatime", wantNot: "noatime"},
		{options: "rstrictatime", wantNot: "relatime,noatime"},
		{options: "rstrictatime,rnostrictatime", wantNot: "noatime"},
		{options: "rnosymfollow", want: "nosymfollow"},
		{options: "rnosymfollow,rsymfollow", wantNot: "nosymfollow"},
	}
}

// superCases are options of a filesystem as a whole.
func superCases() []optionCase {
	return []optionCase{
		{options: "sync", super: "sync"},
		{options: "sync,async", superNo: "sync"},
		{options: "async", superNo: "sync"},
		{options: "dirsync", super: "dirsync"},
		{options: "lazytime", super: "lazytime"},
		{options: "lazytime,nolazytime", superNo: "lazytime"},
		{options: "nolazytime", superNo: "lazytime"},
		{options: "iversion"},
		{options: "noiversion"},
		{options: "iversion,noiversion"},
		{options: "mand"},
		{options: "nomand"},
	}
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

func (c *optionCase) check(t *testing.T, m *mountLine) {
	t.Helper()
	for _, o := range list(c.want) {
		if !m.has(o) {
			t.Errorf("options %q: %q is missing from %v", c.options, o, m.options)
		}
	}
	for _, o := range list(c.wantNot) {
		if m.has(o) {
			t.Errorf("options %q: %q is among %v", c.options, o, m.options)
		}
	}
	for _, o := range list(c.super) {
		if !m.superHas(o) {
			t.Errorf("options %q: %q is missing from the superblock's %v", c.options, o, m.super)
		}
	}
	for _, o := range list(c.superNo) {
		if m.superHas(o) {
			t.Errorf("options %q: %q is among the superblock's %v", c.options, o, m.super)
		}
	}
}

// Every option on a tmpfs of its own: all cases are mounts of one container.
func TestMountOptionsTmpfs(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	cases := append(attributeCases(), superCases()...)
	for i, c := range cases {
		s.Edit(harness.Mount(specs.Mount{Destination: "/m/" + number(i), Type: "tmpfs", Source: "case", Options: list(c.options)}))
	}
	table := s.Sh("cat /proc/self/mountinfo")
	for i, c := range cases {
		c.check(t, mountAt(t, table, "/m/"+number(i)))
	}
}

func number(i int) string { return string(rune('a'+i/26)) + string(rune('a'+i%26)) }

func TestMountOptionsBind(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	source := filepath.Join(s.Dir, "source")
	mountTmpfs(t, source)
	for _, bind := range []string{"bind", "rbind"} {
		for i, c := range attributeCases() {
			s.Edit(harness.Mount(specs.Mount{Destination: "/" + bind + "/" + number(i), Type: "none", Source: source, Options: append([]string{bind}, list(c.options)...)}))
		}
	}
	table := s.Sh("cat /proc/self/mountinfo")
	for _, bind := range []string{"bind", "rbind"} {
		for i, c := range attributeCases() {
			m := mountAt(t, table, "/"+bind+"/"+number(i))
			c.check(t, m)
			if m.fstype != "tmpfs" {
				t.Errorf("%s of %s is of type %s", bind, source, m.fstype)
			}
		}
	}
}

// mountTmpfs mounts on the host, for the time of a test.
func mountTmpfs(t *testing.T, at string) {
	t.Helper()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

// A bind mount keeps what its source's mount has, unless it is told otherwise.
func TestMountBindKeepsFlags(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	source := filepath.Join(s.Dir, "source")
	mountTmpfs(t, source)
	if err := unix.Mount("", source, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY|unix.MS_NOATIME, ""); err != nil {
		t.Fatal(err)
	}
	s.Edit(harness.Mount(specs.Mount{Destination: "/kept", Source: source, Options: []string{"bind"}}),
		harness.Mount(specs.Mount{Destination: "/changed", Source: source, Options: []string{"bind", "rw", "exec", "strictatime"}}))
	table := s.Sh("cat /proc/self/mountinfo")
	kept, changed := mountAt(t, table, "/kept"), mountAt(t, table, "/changed")
	for _, o := range []string{"ro", "nosuid", "nodev", "noexec", "noatime"} {
		if !kept.has(o) {
			t.Errorf("the bind mount lost %s: %v", o, kept.options)
		}
	}
	if changed.has("ro") || changed.has("noexec") || changed.has("noatime") || !changed.has("nosuid") || !changed.has("nodev") {
		t.Errorf("rw,exec,strictatime made %v", changed.options)
	}
}

func TestMountRecursiveOptions(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	source := filepath.Join(s.Dir, "source")
	mountTmpfs(t, source)
	mountTmpfs(t, filepath.Join(source, "below"))
	s.Edit(harness.Mount(specs.Mount{Destination: "/all", Source: source, Options: []string{"rbind", "rro", "rnosuid"}}),
		harness.Mount(specs.Mount{Destination: "/top", Source: source, Options: []string{"rbind", "ro", "nosuid"}}),
		harness.Mount(specs.Mount{Destination: "/one", Source: source, Options: []string{"bind"}}))
	table := s.Sh("cat /proc/self/mountinfo")
	for at, ro := range map[string]bool{"/all": true, "/all/below": true, "/top": true, "/top/below": false} {
		m := mountAt(t, table, at)
		if m.has("ro") != ro || m.has("nosuid") != ro {
			t.Errorf("%s has the options %v", at, m.options)
		}
	}
	if strings.Contains(table, " /one/below ") {
		t.Error("bind is recursive")
	}
}

func TestMountPropagation(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	source := filepath.Join(s.Dir, "source")
	mountTmpfs(t, source)
	mountTmpfs(t, filepath.Join(source, "below"))
	if err := unix.Mount("", source, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	values := []string{"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"}
	for _, v := range values {
		s.Edit(harness.Mount(specs.Mount{Destination: "/" + v, Source: source, Options: []string{"rbind", v}}),
			harness.Mount(specs.Mount{Destination: "/tmpfs/" + v, Type: "tmpfs", Options: []string{v}}))
	}
	table := s.Sh("cat /proc/self/mountinfo")
	for _, v := range values {
		kind := strings.TrimPrefix(v, "r")
		checkPropagation(t, mountAt(t, table, "/"+v), kind, true)
		if v != kind {
			checkPropagation(t, mountAt(t, table, "/"+v+"/below"), kind, true)
		}
		checkPropagation(t, mountAt(t, table, "/tmpfs/"+v), kind, false)
	}
}

// checkPropagation compares tags with a propagation type. A slave of nobody is private.
func checkPropagation(t *testing.T, m *mountLine, kind string, hasMaster bool) {
	t.Helper()
	shared, slave, unbindable := m.tagged("shared:"), m.tagged("master:"), m.tagged("unbindable")
	switch kind {
	case "shared":
		if !shared {
			t.Errorf("%s is not shared: %v", m.at, m.tags)
		}
	case "slave":
		if shared || slave != hasMaster {
			t.Errorf("%s is not a slave: %v", m.at, m.tags)
		}
	case "unbindable":
		if !unbindable {
			t.Errorf("%s is not unbindable: %v", m.at, m.tags)
		}
	case "private":
		if shared || slave || unbindable {
			t.Errorf("%s is not private: %v", m.at, m.tags)
		}
	}
}

// remount changes what an earlier entry mounted.
func TestMountRemount(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=64k"}}),
		harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs", Options: []string{"remount", "size=128k", "nosuid", "ro"}}))
	m := mountAt(t, s.Sh("cat /proc/self/mountinfo"), "/m")
	if !m.superHas("size=128k") || !m.has("nosuid") || !(m.has("ro") || m.superHas("ro")) {
		t.Errorf("after remount: %v %v", m.options, m.super)
	}
}

func TestMountOrderAndRelativeDestination(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "first"}),
		harness.Mount(specs.Mount{Destination: "/m/below", Type: "tmpfs", Source: "second"}),
		harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "third"}),
		harness.Mount(specs.Mount{Destination: "relative/place", Type: "tmpfs", Source: "fourth"}))
	out := s.Sh("cat /proc/self/mountinfo; ls /m")
	var order []string
	for _, m := range parseMounts(out) {
		if slices.Contains([]string{"first", "second", "third", "fourth"}, m.source) {
			order = append(order, m.source+" on "+m.at)
		}
	}
	if got := strings.Join(order, ", "); got != "first on /m, second on /m/below, third on /m, fourth on /relative/place" {
		t.Errorf("mounts are %s", got)
	}
	if strings.HasSuffix(out, "below\n") {
		t.Error("the third mount does not hide the first")
	}
}

func TestMountBindFiles(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	if err := os.WriteFile(filepath.Join(s.Bundle, "beside"), []byte("from the bundle\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A relative source is relative to the bundle (M3), and a file is mounted on a file.
	s.Edit(harness.Mount(specs.Mount{Destination: "/etc/new/file", Type: "bind", Source: "beside", Options: []string{"bind", "ro"}}))
	if got := s.Sh("cat /etc/new/file; echo x 2>/dev/null >/etc/new/file || echo read-only"); got != "from the bundle\nread-only\n" {
		t.Errorf("got %q", got)
	}
}

func TestMountFilesystems(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for _, d := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(s.Dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "lower/file"), []byte("lower\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay := []string{"lowerdir=" + s.Dir + "/lower", "upperdir=" + s.Dir + "/upper", "workdir=" + s.Dir + "/work"}
	s.Edit(harness.Mount(specs.Mount{Destination: "/merged", Type: "overlay", Source: "overlay", Options: overlay}))
	out := s.Sh(`cat /merged/file; echo upper >/merged/new; stat -f -c %T /proc /sys /dev/shm /dev/pts; stat -c %a /dev/shm; ls -d /dev/mqueue; cat /proc/self/mountinfo`)
	if !strings.HasPrefix(out, "lower\nproc\nsysfs\ntmpfs\ndevpts\n1777\n/dev/mqueue\n") {
		t.Errorf("got %s", out)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "upper/new")); err != nil {
		t.Error(err)
	}
	if m := mountAt(t, out, "/dev/shm"); !m.superHas("size=65536k") || !m.superHas("mode=1777") && m.superHas("mode=755") {
		t.Errorf("/dev/shm has %v", m.super)
	}
}

// The kernel's own words reach the user.
func TestMountErrorsSayWhy(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=lots"}}))
	s.Run().Fails("mounts[7] (/m)", "Bad value for 'size'")
}
