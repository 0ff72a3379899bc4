package nsenter

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mounted runs instructions in a mount namespace of their own, below a root, and
// returns the options of what is mounted there by mountpoint, "" being the root.
func mounted(t *testing.T, root string, ops ...Op) map[string]string {
	t.Helper()
	o := run(t, program(inMountNamespace(root, append(ops, exec("/bin/cat", "/proc/self/mountinfo"))...)...)).succeeded(t)
	options := make(map[string]string)
	for _, line := range strings.Split(o.out, "\n") {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		if at, ok := strings.CutPrefix(f[4], root); ok {
			options[at] = f[5]
			if f[6] != "-" {
				options[at] += " " + f[6]
			}
		}
	}
	return options
}

func inMountNamespace(root string, ops ...Op) []Op {
	return append([]Op{Clone{Flags: unix.CLONE_NEWNS, Cgroup: None}, Propagation{Path: "/", Flags: unix.MS_PRIVATE | unix.MS_REC}, Rootfs{Path: root}}, ops...)
}

// likeLinux511 makes mount_setattr(2), which Linux 5.12 has brought, fail as it does before.
func likeLinux511() []Op {
	return []Op{NoNewPrivs{}, Seccomp{Filter: sockFilter(map[uintptr]unix.Errno{unix.SYS_MOUNT_SETATTR: unix.ENOSYS})}}
}

func TestBindAttributes(t *testing.T) {
	needRoot(t)
	const all = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NODIRATIME
	for _, c := range []struct {
		source     uint64 // attributes of what is bound
		set, clear uint64
		want       string
	}{
		{0, 0, 0, "rw,relatime"},
		{0, all, 0, "ro,nosuid,nodev,noexec,nodiratime,relatime"},
		{all, 0, 0, "ro,nosuid,nodev,noexec,nodiratime,relatime"},
		{all, 0, all, "rw,relatime"},
		{unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, "ro,relatime"},
		{unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_RDONLY, 0, "ro,noatime"},
		{unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR_RDONLY, 0, "ro"},
		{unix.MOUNT_ATTR_STRICTATIME | unix.MOUNT_ATTR_NODIRATIME, unix.MOUNT_ATTR_RDONLY, 0, "ro,nodiratime"},
		{unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME, "rw"},
		{unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR_RELATIME, unix.MOUNT_ATTR__ATIME, "rw,relatime"},
		{0, unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME, "rw,noatime"},
		{unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MOUNT_ATTR_RDONLY, 0, "ro,relatime,nosymfollow"},
		{0, unix.MOUNT_ATTR_NOSYMFOLLOW, 0, "rw,relatime,nosymfollow"},
	} {
		root := t.TempDir()
		ops := []Op{Mount{Target: "/from", Type: "tmpfs", Source: "tmpfs", Attr: c.source},
			Bind{Target: "/to", Source: root + "/from", Fd: None, Set: c.set, Clear: c.clear, Propagation: unix.MS_PRIVATE}}
		name := fmt.Sprintf("of %#x, set %#x, clear %#x", c.source, c.set, c.clear)
		if got := mounted(t, root, ops...); got["/to"] != c.want {
			t.Errorf("%s: options %q, want %q", name, got["/to"], c.want)
		}
		if got := mounted(t, root, append(likeLinux511(), ops...)...); got["/to"] != c.want {
			t.Errorf("%s, before Linux 5.12: options %q, want %q", name, got["/to"], c.want)
		}
	}
}

func TestRecursiveAttributes(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	ops := []Op{Mount{Target: "/from", Type: "tmpfs", Source: "tmpfs"}, Mount{Target: "/from/sub", Type: "tmpfs", Source: "tmpfs"}}
	bind := Bind{Target: "/to", Source: root + "/from", Fd: None, Recursive: 1, Set: unix.MOUNT_ATTR_NOEXEC, RSet: unix.MOUNT_ATTR_RDONLY}
	got := mounted(t, root, append(ops, bind)...)
	if got["/to"] != "ro,noexec,relatime" || got["/to/sub"] != "ro,relatime" || got["/from"] != "rw,relatime" {
		t.Errorf("mounts %v", got)
	}
	o := run(t, program(inMountNamespace(root, append(append(likeLinux511(), ops...), bind)...)...))
	o.failed(t, "mount_setattr (recursive)", unix.ENOSYS)
}

func TestBindOfFilesAndDescriptors(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	if err := os.WriteFile(root+"/file", []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := program(inMountNamespace(root, Bind{Target: "/a/b/target", Source: root + "/file", Fd: None}, Bind{Target: "/from-fd", Fd: 0},
		exec("/bin/cat", root+"/a/b/target", root+"/from-fd"))...)
	fd, err := unix.OpenTree(unix.AT_FDCWD, root+"/file", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if o := (&call{programs: []Program{p}, fds: []int{fd}}).run(t).succeeded(t); o.out != "contentcontent" {
		t.Errorf("bound: %q", o.out)
	}
	run(t, program(inMountNamespace(root, Bind{Target: "/x", Source: root + "/missing", Fd: None})...)).failed(t, "open_tree", unix.ENOENT)
}

func TestReadOnlyPathsAndRoot(t *testing.T) {
	needRoot(t)
	for name, kernel := range map[string][]Op{"this kernel": nil, "before Linux 5.12": likeLinux511()} {
		root := t.TempDir()
		ops := append(kernel, Mount{Target: "/m", Type: "tmpfs", Source: "tmpfs", Attr: unix.MOUNT_ATTR_NOSUID}, ReadOnly{Path: "/m"},
			Mkdir{Path: "/dir", Mode: 0o755}, ReadOnly{Path: "dir"}, ReadOnly{Path: "/missing"}, ReadOnly{Path: "/dir/missing"})
		got := mounted(t, root, ops...)
		if got["/m"] != "ro,nosuid,relatime" || !strings.HasPrefix(got["/dir"], "ro,") || len(got) != 2 {
			t.Errorf("%s: mounts %v", name, got)
		}
		o := run(t, program(append(append([]Op{}, kernel...), container(t, RootAttr{Set: unix.MOUNT_ATTR_RDONLY}, Pivot{}, Chdir{Path: "/"},
			shell("echo x >/file"))...)...))
		if o.err != nil || !strings.Contains(o.out, "Read-only file system") {
			t.Errorf("%s: write to a read-only root: %v, %q", name, o.err, o.out)
		}
	}
}

func TestMask(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	for _, dir := range []string{"/one", "/two", "/two/sub"} {
		if err := os.Mkdir(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/file", []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := run(t, program(inMountNamespace(root, Mask{Path: "/one"}, Mask{Path: "two"}, Mask{Path: "/file"}, Mask{Path: "/missing"}, Mask{Path: "/file/x"},
		shell("cd "+root+"; ls -A one two; cat file; touch one/x two/x; cat /proc/self/mountinfo"))...)).succeeded(t)
	if !strings.HasPrefix(o.out, "one:\n\ntwo:\n") || strings.Contains(o.out, "secret") || strings.Count(o.out, "Read-only file system") != 2 {
		t.Errorf("masked: %q", o.out)
	}
	if n := strings.Count(o.out, root); n != 3 {
		t.Errorf("%d mounts, want 3", n)
	}
}

func TestMountOptions(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	got := mounted(t, root, Mount{Target: "/t", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=64k", "mode=700"},
		Attr: unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOATIME, Super: unix.MS_SYNCHRONOUS | unix.MS_I_VERSION, Propagation: unix.MS_SHARED})
	if !strings.HasPrefix(got["/t"], "rw,nodev,noatime shared:") {
		t.Errorf("mounts %v", got)
	}
	got = mounted(t, root, Mount{Target: "/t", Type: "tmpfs", Source: "tmpfs"}, Remount{Target: "/t", Flags: unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID})
	if got["/t"] != "ro,nosuid,relatime" {
		t.Errorf("remounted %v", got)
	}
	run(t, program(inMountNamespace(root, Mount{Target: "/t", Type: "nosuchfs"})...)).failed(t, "fsopen", unix.ENODEV)
	run(t, program(inMountNamespace(root, Mount{Target: "/t", Type: "tmpfs", Options: []string{"nonsense"}})...)).failed(t, "fsconfig", unix.EINVAL)
}

// TestLongOptions has options that fsconfig(2) doesn't take: an overlay of many layers.
func TestLongOptions(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	lower := make([]string, 20)
	for i := range lower {
		lower[i] = fmt.Sprintf("%s/layer%d", root, i)
		if err := os.Mkdir(lower[i], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	op := Mount{Target: "/merged", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + strings.Join(lower, ":")},
		Attr: unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_SHARED}
	if got := mounted(t, root, op); !strings.HasPrefix(got["/merged"], "rw,nosuid,relatime shared:") {
		t.Errorf("mounts %v", got)
	}
	op.Options = []string{"lowerdir=" + strings.Repeat(lower[0]+":", 4096/len(lower[0])+1)}
	if e := run(t, program(inMountNamespace(root, op)...)).failed(t, "mount", unix.E2BIG); e.Detail == "" {
		t.Error("no word on what is too long")
	}
	// A source can be long too.
	got := mounted(t, root, Mount{Target: "/t", Type: "tmpfs", Source: strings.Repeat("s", 300)})
	if got["/t"] != "rw,relatime" {
		t.Errorf("mounts %v", got)
	}
}

func TestMoveInsteadOfPivot(t *testing.T) {
	ops := container(t, Pivot{NoPivot: 1}, Chdir{Path: "/"}, CloseFrom{First: 3}, shell("pwd; ls /; ls /proc/self/exe"))
	o := run(t, program(ops...)).succeeded(t)
	if !strings.HasPrefix(o.out, "/\n") || !strings.Contains(o.out, "/proc/self/exe\n") {
		t.Errorf("in the container: %q", o.out)
	}
}

func TestTerminal(t *testing.T) {
	ops := container(t, Mount{Target: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666", "mode=0620"}},
		Pty{Rows: 33, Columns: 77, Console: 1, UID: 4242}, Pivot{}, Chdir{Path: "/"}, Session{Terminal: 1},
		shell("stty size; tty; ls -n $(tty); test /dev/console -ef $(tty) && echo same; cut -d' ' -f7 /proc/$$/stat; sleep 0.1"))
	var out strings.Builder
	done := make(chan struct{})
	on := func(s *Stage, r Report) bool {
		if f, ok := r.(File); ok {
			go func() {
				defer close(done)
				master := os.NewFile(uintptr(f.Fd), "master")
				defer master.Close()
				buf := make([]byte, 4096)
				for {
					n, err := master.Read(buf)
					out.Write(buf[:n])
					if err != nil { // EIO: the other end is closed
						return
					}
				}
			}()
		}
		return false
	}
	o := (&call{programs: []Program{program(ops...)}, on: on}).run(t)
	if o.err != nil {
		t.Fatal(o.err)
	}
	<-done
	got := strings.ReplaceAll(out.String(), "\r", "")
	// tty_nr of proc_pid_stat(5): 136:0, the first of devpts.
	if !strings.HasPrefix(got, "33 77\n/dev/pts/0\n") || !strings.Contains(got, " 4242 ") || !strings.Contains(got, "same\n34816\n") {
		t.Errorf("on the terminal: %q", got)
	}
}

// Before Linux 5.14 neither mount_setattr(2) nor fsmount(2) takes nosymfollow: mount(2) does.
func TestNoSymfollowOfOldKernels(t *testing.T) {
	needRoot(t)
	for name, refused := range map[string]map[uintptr]unix.Errno{
		"5.12": {unix.SYS_MOUNT_SETATTR: unix.EINVAL},
		"5.10": {unix.SYS_MOUNT_SETATTR: unix.ENOSYS},
	} {
		root := t.TempDir()
		old := []Op{NoNewPrivs{}, Seccomp{Filter: sockFilter(refused)}}
		ops := append(old, Mount{Target: "/from", Type: "tmpfs", Source: "tmpfs", Attr: unix.MOUNT_ATTR_NOEXEC},
			Bind{Target: "/to", Source: root + "/from", Fd: None, Set: unix.MOUNT_ATTR_NOSYMFOLLOW | unix.MOUNT_ATTR_NOSUID})
		if got := mounted(t, root, ops...); got["/to"] != "rw,nosuid,noexec,relatime,nosymfollow" {
			t.Errorf("Linux %s: options %q", name, got["/to"])
		}
	}
	// fsmount(2) refuses what has the bit: a filter that looks at the third argument, as Linux 5.13 does.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_FSMOUNT},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 32}, {Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: unix.MOUNT_ATTR_NOSYMFOLLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)}, {Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	var raw []byte
	for i := range filter {
		raw = append(raw, bytesOf(&filter[i])...)
	}
	root := t.TempDir()
	got := mounted(t, root, NoNewPrivs{}, Seccomp{Filter: raw}, Mount{Target: "/m", Type: "tmpfs", Source: "tmpfs", Attr: unix.MOUNT_ATTR_NOSYMFOLLOW | unix.MOUNT_ATTR_NODEV})
	if got["/m"] != "rw,nodev,relatime,nosymfollow" {
		t.Errorf("new mount: options %q", got["/m"])
	}
	// An attribute that no kernel has stays an error.
	run(t, program(inMountNamespace(root, Mount{Target: "/m", Type: "tmpfs", Source: "tmpfs", Attr: 1 << 30})...)).failed(t, "fsmount", unix.EINVAL)
}

func TestMountLabel(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	p := program(inMountNamespace(root, Mount{Target: "/m", Type: "tmpfs", Source: "tmpfs", Label: label}, Sync{Token: uint64(TokenHooksRun)}, exec("/bin/true"))...)
	pid := 0
	on := func(s *Stage, r Report) bool {
		switch r := r.(type) {
		case Cloned:
			pid = r.PID
		case Waiting:
			value := make([]byte, 100)
			n, err := unix.Getxattr(fmt.Sprintf("/proc/%d/root%s/m", pid, root), "security.selinux", value)
			if err != nil || strings.TrimRight(string(value[:n]), "\x00") != label {
				t.Errorf("label %q (%v)", value[:max(n, 0)], err)
			}
			if err := s.Release(TokenHooksRun); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	(&call{programs: []Program{p}, on: on}).run(t).succeeded(t)
}

// What is mounted below a read-only path stays as it is.
func TestReadOnlyPathIsOneMount(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	got := mounted(t, root, Mount{Target: "/m", Type: "tmpfs", Source: "tmpfs"}, Mount{Target: "/m/volume", Type: "tmpfs", Source: "tmpfs"}, ReadOnly{Path: "/m"})
	if got["/m"] != "ro,relatime" || got["/m/volume"] != "rw,relatime" {
		t.Errorf("mounts %v", got)
	}
}

// A slave that shares is two settings, one after the other.
func TestSlaveAndShared(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	got := mounted(t, root, Mount{Target: "/from", Type: "tmpfs", Source: "tmpfs", Propagation: unix.MS_SHARED},
		Bind{Target: "/to", Source: root + "/from", Fd: None, Propagation: unix.MS_SLAVE | unix.MS_SHARED})
	if !strings.Contains(got["/to"], "shared:") {
		t.Errorf("mounts %v", got)
	}
}
