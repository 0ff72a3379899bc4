package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// ids maps ids from 0 to ids from first.
func ids(first uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: 65536}}
}

func mapped(m specs.Mount, first uint32) specs.Mount {
	m.UIDMappings, m.GIDMappings = ids(first), ids(first)
	return m
}

// volume makes a directory with files of several owners on a tmpfs, and another tmpfs below it.
func volume(t *testing.T, s *harness.Sandbox) string {
	t.Helper()
	dir := filepath.Join(s.Dir, "volume")
	mountTmpfs(t, dir)
	mountTmpfs(t, filepath.Join(dir, "below"))
	for name, id := range map[string]int{"root": 0, "user": 1000, "below/root": 0, "below/user": 1000} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, nil, 0o644), os.Chown(file, id, id+1))
	}
	return dir
}

const owners = `for f in root user below/root below/user; do [ -e $f ] && stat -c '%n %u:%g' $f; done; true`

// Without a user namespace a mapping shows the ids that it says.
func TestIDMapBind(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.AllCapabilities())
	dir := volume(t, s)
	for at, options := range map[string][]string{"/one": {"bind", "idmap"}, "/top": {"rbind", "idmap"}, "/tree": {"rbind", "ridmap"}, "/implied": {"rbind"}} {
		s.Edit(harness.Mount(mapped(specs.Mount{Destination: at, Source: dir, Options: options}, 100000)))
	}
	for at, want := range map[string]string{
		"/one":     "root 100000:100001\nuser 101000:101001\n",
		"/top":     "root 100000:100001\nuser 101000:101001\nbelow/root 0:1\nbelow/user 1000:1001\n",
		"/tree":    "root 100000:100001\nuser 101000:101001\nbelow/root 100000:100001\nbelow/user 101000:101001\n",
		"/implied": "root 100000:100001\nuser 101000:101001\nbelow/root 0:1\nbelow/user 1000:1001\n",
	} {
		if got := s.Sh("cd " + at + "; " + owners); got != want {
			t.Errorf("%s: got\n%swant\n%s", at, got, want)
		}
	}
	// What is written has the id that the mapping comes from.
	must(t, os.Chmod(dir, 0o777))
	s.Sh("touch /tree/new", harness.User(100005, 100006))
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "new"), &st); err != nil || st.Uid != 5 || st.Gid != 6 {
		t.Errorf("the new file belongs to %d:%d (%v)", st.Uid, st.Gid, err)
	}
}

// In a user namespace the mapping is the namespace's, unless the mount has one.
func TestIDMapUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), harness.WithoutMount("/sys/fs/cgroup"), harness.AllCapabilities())
	must(t, os.Chown(s.Rootfs, 100000, 100000))
	dir := volume(t, s)
	s.Edit(harness.Mount(specs.Mount{Destination: "/tree", Source: dir, Options: []string{"rbind", "ridmap"}}),
		harness.Mount(specs.Mount{Destination: "/top", Source: dir, Options: []string{"rbind", "idmap", "ro", "rnoexec"}}),
		harness.Mount(specs.Mount{Destination: "/none", Source: dir, Options: []string{"bind"}}),
		harness.Mount(mapped(specs.Mount{Destination: "/own", Source: dir, Options: []string{"bind", "idmap"}}, 100007)))
	table := s.Sh("cat /proc/self/mountinfo")
	if top, below := mountAt(t, table, "/top"), mountAt(t, table, "/top/below"); !top.has("ro") || !top.has("noexec") || below.has("ro") || !below.has("noexec") || !top.has("idmapped") {
		t.Errorf("options %v, %v", top.options, below.options)
	}
	for at, want := range map[string]string{
		"/tree": "root 0:1\nuser 1000:1001\nbelow/root 0:1\nbelow/user 1000:1001\n",
		"/top":  "root 0:1\nuser 1000:1001\nbelow/root 65534:65534\nbelow/user 65534:65534\n",
		"/none": "root 65534:65534\nuser 65534:65534\n",
		"/own":  "root 7:8\nuser 1007:1008\n",
	} {
		if got := s.Sh("cd " + at + "; " + owners); got != want {
			t.Errorf("%s: got\n%swant\n%s", at, got, want)
		}
	}
}

// A joined user namespace gives its mapping too.
func TestIDMapJoinedUserNamespace(t *testing.T) {
	t.Parallel()
	first := harness.New(t, harness.UserNamespace(200000, 65536), harness.WithoutMount("/sys/fs/cgroup"), harness.Args("/bin/sleep", "600"))
	must(t, os.Chown(first.Rootfs, 200000, 200000))
	first.Create().Succeeds()
	defer first.Delete()
	s := harness.New(t, harness.WithoutMount("/sys/fs/cgroup"))
	must(t, os.Chown(s.Rootfs, 200000, 200000))
	dir := volume(t, s)
	s.Edit(harness.Namespace(specs.UserNamespace, "/proc/"+strconv.Itoa(first.PID())+"/ns/user"),
		harness.Mount(specs.Mount{Destination: "/tree", Source: dir, Options: []string{"rbind", "ridmap"}}))
	if got, want := s.Sh("cd /tree; "+owners), "root 0:1\nuser 1000:1001\nbelow/root 0:1\nbelow/user 1000:1001\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// New filesystems can be mapped as well: what the container makes there belongs to the mapping's other side.
func TestIDMapFilesystem(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]harness.Edit{"host": func(*specs.Spec) {}, "user": harness.UserNamespace(100000, 65536)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, edit, harness.WithoutMount("/sys/fs/cgroup"), harness.AllCapabilities())
			must(t, os.Chown(s.Rootfs, 100000, 100000))
			for at, options := range map[string][]string{"/data": {"idmap", "size=1m", "nosuid"}, "/fixed": {"idmap", "ro", "mode=711"}} {
				s.Edit(harness.Mount(mapped(specs.Mount{Destination: at, Type: "tmpfs", Source: "tmpfs", Options: options}, 100000)))
			}
			out := s.Sh("stat -c '%u:%g %a' /data /fixed; cat /proc/self/mountinfo")
			want := "100000:100000 1777\n100000:100000 711\n"
			if name == "user" {
				want = "0:0 1777\n0:0 711\n"
			}
			if !strings.HasPrefix(out, want) {
				t.Errorf("got %s", out)
			}
			data, fixed := mountAt(t, out, "/data"), mountAt(t, out, "/fixed")
			if !data.has("idmapped") || !data.has("nosuid") || !data.has("rw") || !data.superHas("size=1024k") || !fixed.has("idmapped") || !fixed.has("ro") {
				t.Errorf("mounts %v %v, %v", data.options, data.super, fixed.options)
			}
		})
	}
}

// A mapped mount on / is the rootfs with its ids mapped: an image of root's for any user namespace, unchanged.
func TestIDMapRootfs(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]specs.Mount{
		"userns":  {Destination: "/", Options: []string{"rbind", "ridmap"}},
		"own":     mapped(specs.Mount{Destination: "/", Options: []string{"bind", "idmap"}}, 100000),
		"by name": {Destination: "//.", Source: "rootfs", Options: []string{"bind", "idmap"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.UserNamespace(100000, 65536), harness.WithoutMount("/sys/fs/cgroup"), harness.AllCapabilities())
			s.Spec.Mounts = append([]specs.Mount{root}, s.Spec.Mounts...)
			s.WriteFile("/etc/owned", "", 0o640)
			must(t, os.Chown(s.Path("/etc/owned"), 3, 4))
			out := s.Sh("stat -c '%n %u:%g' / /bin /etc/owned; touch /new /tmp/new; chown 5:6 /new; cat /proc/self/mountinfo")
			if !strings.HasPrefix(out, "/ 0:0\n/bin 0:0\n/etc/owned 3:4\n") || !mountAt(t, out, "/").has("idmapped") {
				t.Errorf("got %s", out)
			}
			var st unix.Stat_t
			if err := unix.Stat(s.Path("/new"), &st); err != nil || st.Uid != 5 || st.Gid != 6 {
				t.Errorf("the new file belongs to %d:%d (%v)", st.Uid, st.Gid, err)
			}
			s.Spec.Root.Readonly = true
			if out := s.Sh("touch /no 2>/dev/null || echo refused"); out != "refused\n" {
				t.Errorf("root.readonly: %q", out)
			}
		})
	}
}

// Another first mount on / is the root: here a copy of the image in memory, and another directory.
func TestMountOnRoot(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	others := s.Spec.Mounts
	s.Spec.Mounts = append([]specs.Mount{{Destination: "/", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "size=64m"}}}, others...)
	out := s.Sh("touch /new && busybox true && cat /proc/self/mountinfo; ls -d /proc/self /dev/null")
	if m := mountAt(t, out, "/"); m.fstype != "tmpfs" || !strings.HasSuffix(out, "/dev/null\n/proc/self\n") {
		t.Errorf("got %s", out)
	}
	if _, err := os.Lstat(s.Path("/new")); err == nil {
		t.Error("the container wrote to the rootfs")
	}
	other := filepath.Join(s.Dir, "other")
	must(t, os.Rename(s.Rootfs, other), os.Mkdir(s.Rootfs, 0o755))
	for _, flags := range [][]string{nil, {"--no-pivot"}} {
		s.Spec.Mounts = append([]specs.Mount{{Destination: "/", Source: other, Options: []string{"rbind", "rprivate"}}}, others...)
		s.Edit(harness.Shell("touch /new; cat /proc/self/mountinfo; ls /proc/self/exe"))
		s.WriteConfig()
		r := s.Davit(append(append([]string{"run"}, flags...), "--bundle", s.Bundle, s.ID)...)
		r.Succeeds()
		if m := mountAt(t, r.Stdout(), "/"); m.tagged("master:") {
			t.Errorf("rprivate: %v", m.tags)
		}
		must(t, os.Remove(filepath.Join(other, "new")))
	}
	s.Spec.Mounts = append(others, specs.Mount{Destination: "/", Type: "tmpfs"})
	s.Run().Fails("mounts[7] (/)", "list it first")
	s.Spec.Mounts = append(others, specs.Mount{Destination: "/", Options: []string{"remount", "bind", "nosuid", "ro"}})
	s.Run(harness.Shell("cat /proc/self/mountinfo; touch /no 2>/dev/null || echo refused"))
}

// What can't be mapped is an error that says what, and why.
func TestIDMapErrors(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	base := s.Spec.Mounts
	for _, c := range []struct {
		mount specs.Mount
		want  []string
	}{
		{specs.Mount{Destination: "/x", Source: "/srv", Options: []string{"bind", "idmap"}}, []string{"mounts[7]", "idmap", "uidMappings"}},
		{specs.Mount{Destination: "/x", Source: "/srv", Options: []string{"bind", "idmap"}, UIDMappings: ids(1)}, []string{"mounts[7].gidMappings"}},
		{mapped(specs.Mount{Destination: "/x", Source: "/proc", Options: []string{"bind", "idmap"}}, 1), []string{"mounts[7] (/x)", "the filesystem, proc, doesn't support it"}},
		{mapped(specs.Mount{Destination: "/x", Source: "/", Options: []string{"rbind", "ridmap"}}, 1), []string{"mounts[7] (/x)", "below it"}},
		{mapped(specs.Mount{Destination: "/x", Type: "proc", Source: "proc", Options: []string{"idmap"}}, 1), []string{"mounts[7] (/x)", "type proc can't be idmapped"}},
		{mapped(specs.Mount{Destination: "/x", Type: "ramfs", Source: "ramfs", Options: []string{"idmap"}}, 1), []string{"mounts[7] (/x)", "this filesystem can't be idmapped"}},
		{mapped(specs.Mount{Destination: "/x", Source: "/srv", Options: []string{"bind", "idmap"}}, 1<<32-5), []string{"mounts[7]", "uidMappings"}},
	} {
		s.Spec.Mounts = append(base[:len(base):len(base)], c.mount)
		s.Run().Fails(c.want...)
	}
}

// Mounts that davit takes from the host for a container with a user namespace are no peers of the host's, nor is an idmapped one.
func TestMountsOfDescriptorsDoNotPropagate(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]harness.Edit{"idmap": func(*specs.Spec) {}, "user": harness.UserNamespace(100000, 65536)} {
		for _, option := range []string{"", "rshared", "rprivate"} {
			t.Run(name+" "+option, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t, edit, harness.WithoutMount("/sys/fs/cgroup"), harness.AllCapabilities())
				must(t, os.Chown(s.Rootfs, 100000, 100000))
				dir := volume(t, s)
				must(t, os.Mkdir(filepath.Join(dir, "own"), 0o755), unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, ""))
				m := specs.Mount{Destination: "/volume", Source: dir, Options: []string{"rbind", "ridmap"}}
				if name == "user" {
					m.Options = m.Options[:1]
				} else {
					m = mapped(m, 100000)
				}
				if option != "" {
					m.Options = append(m.Options, option)
				}
				s.Edit(harness.Mount(m), harness.Shell("mount -t tmpfs tmpfs /volume/own && cat /proc/self/mountinfo"))
				s.WriteConfig()
				// A mount that did propagate would outlive the container.
				out := s.Davit("run", "--bundle", s.Bundle, s.ID)
				out.Succeeds()
				if got := mountAt(t, out.Stdout(), "/volume"); got.tagged("shared:") != (option == "rshared") || got.tagged("master:") != (option != "rprivate") {
					t.Errorf("propagation %v", got.tags)
				}
				table, err := os.ReadFile("/proc/self/mountinfo")
				must(t, err)
				if strings.Contains(string(table), filepath.Join(dir, "own")) {
					t.Error("a mount of the container appeared on the host")
				}
			})
		}
	}
}

// What a mount of the host forbids, a container's root can't take back in a namespace of its own.
func TestLockedFlagsInUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), harness.WithoutMount("/sys/fs/cgroup"), harness.AllCapabilities())
	must(t, os.Chown(s.Rootfs, 100000, 100000))
	dir := filepath.Join(s.Dir, "source")
	mountTmpfs(t, dir)
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, ""))
	closed := filepath.Join(s.Dir, "closed", "source")
	must(t, os.MkdirAll(closed, 0o755), os.Chmod(filepath.Dir(closed), 0o700), os.WriteFile(filepath.Join(closed, "file"), nil, 0o644))
	s.Edit(harness.Mount(specs.Mount{Destination: "/locked", Source: dir, Options: []string{"bind"}}),
		// The config may take it back, and have what only the host can reach.
		harness.Mount(specs.Mount{Destination: "/granted", Source: dir, Options: []string{"rbind", "rw", "exec", "rsuid"}}),
		harness.Mount(specs.Mount{Destination: "/closed", Source: closed, Options: []string{"bind", "ro"}}))
	out := s.Sh("for o in rw suid dev exec relatime; do mount -o remount,bind,$o /locked 2>/dev/null && echo $o taken; done; ls /closed; cat /proc/self/mountinfo")
	if !strings.Contains(out, "file\n") {
		t.Errorf("got %s", out)
	}
	if m := mountAt(t, out, "/granted"); m.has("ro") || m.has("noexec") || m.has("nosuid") || !m.has("nodev") {
		t.Errorf("rw,exec,rsuid made %v", m.options)
	}
	m := mountAt(t, out, "/locked")
	for _, o := range []string{"ro", "nosuid", "nodev", "noexec", "noatime"} {
		if !m.has(o) {
			t.Errorf("the bind mount lost %s: %v", o, m.options)
		}
	}
}

// A user namespace's container can have any number of volumes.
func TestManyBindsInUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), harness.WithoutMount("/sys/fs/cgroup"))
	must(t, os.Chown(s.Rootfs, 100000, 100000))
	file := filepath.Join(s.Dir, "file")
	writeFile(t, file, "x")
	for i := range 300 {
		s.Edit(harness.Mount(specs.Mount{Destination: "/v/" + strconv.Itoa(i), Source: file, Options: []string{"bind", "ro"}}))
	}
	if out := s.Sh("cat /v/* | wc -c"); out != "300\n" {
		t.Errorf("got %q", out)
	}
}
