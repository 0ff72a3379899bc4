package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// replaced mounts something else on a destination that the usual configuration has.
func replaced(m specs.Mount) harness.Edit {
	return func(s *specs.Spec) {
		for i := range s.Mounts {
			if s.Mounts[i].Destination == m.Destination {
				s.Mounts[i] = m
			}
		}
	}
}

func TestMountProcVariants(t *testing.T) {
	t.Parallel()
	s := harness.New(t, func(s *specs.Spec) { s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil },
		replaced(specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "hidepid=2", "subset=pid"}}))
	out := s.Sh("cat /proc/self/mountinfo; ls -d /proc/1; ls -d /proc/sys /proc/cpuinfo /proc/kcore 2>/dev/null || echo nothing else")
	m := mountAt(t, out, "/proc")
	if !strings.HasSuffix(out, "/proc/1\nnothing else\n") || !m.superHas("subset=pid") || !m.superHas("hidepid=invisible") || !m.has("nosuid") {
		t.Errorf("got %+v\n%s", m, out)
	}
	s.Edit(replaced(specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"hidepid=9"}}))
	s.Run().Fails("mounts[0] (/proc)", "hidepid=9")
}

func TestMountSysfsVariants(t *testing.T) {
	t.Parallel()
	s := harness.New(t, replaced(specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "rw"}}))
	if out := s.Sh("cat /proc/self/mountinfo; ls /sys/class/net"); !mountAt(t, out, "/sys").has("rw") || !strings.HasSuffix(out, "\nlo\n") {
		t.Errorf("got %s", out)
	}
	// In a user namespace there is none without a network namespace of its own: the host's is bound, as engines do, and as davit does for them.
	s = harness.New(t, harness.UserNamespace(100000, 65536), harness.WithoutNamespace(specs.NetworkNamespace), harness.WithoutMount("/sys/fs/cgroup"))
	must(t, os.Chown(s.Rootfs, 100000, 100000))
	if out := s.Sh("cat /proc/self/mountinfo"); !mountAt(t, out, "/sys").has("ro") || mountAt(t, out, "/sys").fstype != "sysfs" {
		t.Errorf("got %s", out)
	}
	s.Edit(replaced(specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}))
	if out := s.Sh("cat /proc/self/mountinfo; ls -d /sys/kernel"); !mountAt(t, out, "/sys").has("ro") || !strings.HasSuffix(out, "\n/sys/kernel\n") {
		t.Errorf("got %s", out)
	}
}

// Every devpts is an instance of its own, whether that is asked for or not: terminals are numbered from 0 on.
func TestMountDevpts(t *testing.T) {
	t.Parallel()
	for _, options := range [][]string{{"newinstance", "ptmxmode=0666", "mode=0600", "gid=7"}, {"ptmxmode=0666", "mode=0600", "gid=7", "max=5"}} {
		s := harness.New(t, replaced(specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: options}))
		out := s.Sh("cat /proc/self/mountinfo; ls /dev/pts; ls -ln /dev/ptmx; stat -c '%a %t:%T' /dev/pts/ptmx; : <>/dev/ptmx && echo opened")
		if !strings.HasSuffix(out, "\n666 5:2\nopened\n") || !strings.Contains(out, "\nptmx\n") {
			t.Errorf("got %s", out)
		}
		if m := mountAt(t, out, "/dev/pts"); !m.superHas("gid=7") || !m.superHas("mode=600") {
			t.Errorf("devpts has %v", m.super)
		}
	}
}

func TestMountMqueue(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	out := s.Sh("echo >/dev/mqueue/x 2>/dev/null; touch /dev/mqueue/q; ls /dev/mqueue; cat /dev/mqueue/q; cat /proc/self/mountinfo", harness.AllCapabilities())
	if !strings.Contains(out, "QSIZE:0") || mountAt(t, out, "/dev/mqueue").fstype != "mqueue" {
		t.Errorf("got %s", out)
	}
	// The queue was in the container's IPC namespace and is gone with it.
	if out := s.Sh("ls /dev/mqueue"); out != "" {
		t.Errorf("got %s", out)
	}
}

// Mount points below /dev are made in the container's own /dev: directories, and files for files.
func TestMountBelowDev(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	file := filepath.Join(s.Dir, "log")
	writeFile(t, file, "host's\n")
	for _, m := range []specs.Mount{
		{Destination: "/dev/log", Source: file, Options: []string{"bind"}},
		{Destination: "/dev/null", Source: "/dev/zero", Options: []string{"bind"}},
		{Destination: "/dev/deep/er/dir", Type: "tmpfs", Source: "deep"},
		{Destination: "dev/shm/inside", Source: s.Dir, Options: []string{"bind", "ro"}},
	} {
		s.Edit(harness.Mount(m))
	}
	// A node where a bind mount is already must be the right one: this one isn't.
	s.Run().Fails("/dev/null", "a different file is there")
	s.Spec.Mounts[8].Source = "/dev/null"
	out := s.Sh("cat /dev/log; head -c1 /dev/null | wc -c; cat /dev/shm/inside/log; stat -c %F /dev/log; cat /proc/self/mountinfo")
	if !strings.HasPrefix(out, "host's\n0\nhost's\nregular file\n") || mountAt(t, out, "/dev/deep/er/dir").source != "deep" || mountAt(t, out, "/dev/null").fstype != "devtmpfs" {
		t.Errorf("got %s", out)
	}
	if _, err := os.Lstat(s.Path("/dev/log")); err == nil {
		t.Error("the mount point was made in the rootfs, below the tmpfs")
	}
}

// Mount points are made where they are missing, with their parents, and what isn't one is an error that says why.
func TestMountPoints(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	file := filepath.Join(s.Dir, "file")
	writeFile(t, file, "content\n")
	s.Edit(harness.Mount(specs.Mount{Destination: "/a/b/c/file", Source: file, Options: []string{"bind"}}),
		harness.Mount(specs.Mount{Destination: "/a/b/dir/", Source: s.Dir, Options: []string{"bind"}}),
		harness.Mount(specs.Mount{Destination: "a/../rel", Type: "tmpfs", Source: "rel"}))
	out := s.Sh("cat /a/b/c/file /a/b/dir/file; stat -c '%a %s %F' /a /a/b; cat /proc/self/mountinfo")
	if !strings.HasPrefix(out, "content\ncontent\n755 ") || mountAt(t, out, "/rel").source != "rel" {
		t.Errorf("got %s", out)
	}
	if st, err := os.Stat(s.Path("/a/b/c/file")); err != nil || st.Size() != 0 || !st.Mode().IsRegular() {
		t.Errorf("the mount point of a file is %v (%v)", st, err)
	}
	base := harness.BaseSpec("").Mounts
	s.WriteFile("/plain", "", 0o644)
	for _, c := range []struct {
		m    specs.Mount
		want string
	}{
		{specs.Mount{Destination: "/plain", Source: s.Dir, Options: []string{"bind"}}, "the source is a directory and the destination is not"},
		{specs.Mount{Destination: "/bin", Source: file, Options: []string{"bind"}}, "the destination is a directory and the source is not"},
		{specs.Mount{Destination: "/plain", Type: "tmpfs", Source: "tmpfs"}, "not a directory"},
		{specs.Mount{Destination: "/plain/below", Type: "tmpfs", Source: "tmpfs"}, "not a directory"},
		{specs.Mount{Destination: "/x", Source: "/no/such/file", Options: []string{"bind"}}, "/no/such/file"},
		{specs.Mount{Destination: "/x", Type: "nofs", Source: "x"}, "nofs"},
		{specs.Mount{Destination: "/x", Type: "ext4", Source: file}, "Can't lookup blockdev"},
	} {
		s.Spec.Mounts = append(base[:len(base):len(base)], c.m)
		s.Run().Fails("mounts[7] ("+c.m.Destination+")", c.want)
	}
}

// Images have many layers: their list is longer than an option of fsconfig(2), and than the page of options that mount(2) takes.
func TestMountOverlayLayers(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	var layers []string
	for i := range 60 {
		dir := filepath.Join(s.Dir, strings.Repeat("layer", 16)+number(i))
		must(t, os.Mkdir(dir, 0o755))
		writeFile(t, filepath.Join(dir, number(i)), "")
		writeFile(t, filepath.Join(dir, "which"), number(i)+"\n")
		layers = append(layers, dir)
	}
	odd := filepath.Join(s.Dir, `a:b,c\d`)
	must(t, os.Mkdir(odd, 0o755), os.Mkdir(filepath.Join(s.Dir, "upper"), 0o755), os.Mkdir(filepath.Join(s.Dir, "work"), 0o755))
	writeFile(t, filepath.Join(odd, "odd"), "")
	escaped := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(odd)
	few := "lowerdir=" + strings.Join(append(layers[:10:10], escaped), ":")
	all := "lowerdir=" + strings.Join(append(layers, escaped), ":")
	if len(few) > 4000 || len(all) < 4100 {
		t.Fatalf("lists are %d and %d long", len(few), len(all))
	}
	s.Edit(harness.Mount(specs.Mount{Destination: "/few", Type: "overlay", Source: "overlay", Options: []string{few, "ro"}}),
		harness.Mount(specs.Mount{Destination: "/all", Type: "overlay", Source: "overlay", Options: []string{all, "upperdir=" + s.Dir + "/upper", "workdir=" + s.Dir + "/work"}}))
	want := "12\n62\naa\naa\n"
	if got := s.Sh("ls /few | wc -l; ls /all | wc -l; cat /few/which /all/which; touch /all/new"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "upper/new")); err != nil {
		t.Error(err)
	}
}

// Whatever is mounted on /proc or /sys, a link in their place doesn't move it: binds and tmpfs as well.
func TestMountOnKernelDirectories(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]specs.Mount{
		"bind":  {Destination: "/sys", Source: "/sys", Options: []string{"rbind", "ro"}},
		"tmpfs": {Destination: "/sys", Type: "tmpfs", Source: "tmpfs"},
		"proc":  {Destination: "/proc", Type: "none", Source: "/proc", Options: []string{"bind"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.WithoutMount("/sys/fs/cgroup"), replaced(m))
			must(t, os.MkdirAll(s.Path("/elsewhere"), 0o755), os.RemoveAll(s.Path(m.Destination)), os.Symlink("/elsewhere", s.Path(m.Destination)))
			s.Run().Fails("("+m.Destination+")", "ordinary directory")
			must(t, os.Remove(s.Path(m.Destination)))
			s.Run().Succeeds() // made where it is missing
		})
	}
}
