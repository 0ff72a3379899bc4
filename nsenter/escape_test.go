package nsenter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// container makes a root with the host's programs in it, on a tmpfs, and pivots into it.
func container(t *testing.T, ops ...Op) []Op {
	t.Helper()
	needRoot(t)
	world := []Op{Clone{Flags: unix.CLONE_NEWNS, Cgroup: None}, Propagation{Path: "/", Flags: unix.MS_PRIVATE | unix.MS_REC},
		Rootfs{Path: t.TempDir(), Clone: 1}}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64", "usr"} {
		if to, err := os.Readlink("/" + dir); err == nil {
			world = append(world, Symlink{Path: dir, To: to})
		} else if _, err := os.Stat("/" + dir); err == nil {
			world = append(world, Bind{Target: dir, Source: "/" + dir, Fd: None, Set: unix.MOUNT_ATTR_RDONLY})
		}
	}
	world = append(world, Mount{Target: "/proc", Type: "proc", Source: "proc", NoSymlinks: 1}, Mount{Target: "/dev", Type: "tmpfs", Source: "tmpfs"})
	return append(world, ops...)
}

func TestContainer(t *testing.T) {
	ops := container(t, Pivot{}, Chdir{Path: "/"}, CloseFrom{First: 3}, shell("pwd; ls -x /; cat /proc/self/mountinfo"))
	o := run(t, program(ops...)).succeeded(t)
	if !strings.HasPrefix(o.out, "/\n") {
		t.Errorf("working directory: %q", o.out)
	}
	for _, line := range strings.Split(o.out, "\n") {
		f := strings.Fields(line)
		if len(f) > 6 && strings.Contains(f[4], t.Name()) {
			t.Errorf("a mount of the host is in view: %s", line)
		}
	}
}

// TestDescriptorsLeadNowhere has the paths of CVE-2024-21626: those that reach the host by a descriptor of the stage.
func TestDescriptorsLeadNowhere(t *testing.T) {
	needRoot(t)
	deep := t.TempDir()
	for range 6 {
		deep = filepath.Join(deep, strings.Repeat("d", 60))
	}
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	host := fmt.Sprintf("%d/root", os.Getpid())
	for fd := 3; fd < 12; fd++ {
		at := fmt.Sprintf("/proc/self/fd/%d/", fd)
		for _, dir := range []string{"", host, host + deep} {
			o := run(t, program(container(t, Pivot{}, Chdir{Path: at + dir}, exec("/bin/true"))...))
			var e *InstrError
			if !errors.As(o.err, &e) {
				// The container's own root is no way out.
				if dir == "" && o.err == nil {
					continue
				}
				t.Errorf("a working directory of %s%s: %v", at, dir, o.err)
			}
		}
		for _, before := range [][]Op{nil, {LetGo{}}} {
			ops := append(container(t, Pivot{}, Chdir{Path: "/"}, CloseFrom{First: 3}), before...)
			o := run(t, program(append(ops, exec(at+host+"/bin/true"))...))
			var e *ExecError
			if !errors.As(o.err, &e) {
				t.Errorf("executing %s%s/bin/true: %v", at, host, o.err)
			}
		}
	}
}

func TestProcHasToBeADirectory(t *testing.T) {
	needRoot(t)
	for _, target := range []string{"/elsewhere", "/"} {
		root := t.TempDir()
		if err := os.Symlink(target, root+"/proc"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(root+"/elsewhere", 0o755); err != nil {
			t.Fatal(err)
		}
		o := run(t, program(Clone{Flags: unix.CLONE_NEWNS, Cgroup: None}, Rootfs{Path: root}, Mount{Target: "/proc", Type: "proc", NoSymlinks: 1}))
		o.failed(t, "open the mount point as an ordinary directory", unix.ELOOP)
	}
}

// TestMaskedPathsNeedTheHostsNull has a container's /dev/null that is a link (CVE-2025-31133).
func TestMaskedPathsNeedTheHostsNull(t *testing.T) {
	ops := container(t, Symlink{Path: "/dev/null", To: "/proc/version"}, Mask{Path: "/proc/cmdline"}, Pivot{}, Chdir{Path: "/"},
		exec("/bin/cat", "/proc/cmdline"))
	if o := run(t, program(ops...)).succeeded(t); o.out != "" {
		t.Errorf("the masked file has %q", o.out)
	}
}

func TestTerminalOfAnImage(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	if err := os.MkdirAll(root+"/dev/pts", 0o755); err != nil {
		t.Fatal(err)
	}
	make := map[string]func(path string) error{
		"file":   func(p string) error { return os.WriteFile(p, nil, 0o666) },
		"fifo":   func(p string) error { return unix.Mkfifo(p, 0o666) }, // opening it would block
		"device": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(5, 2))) },
		"link":   func(p string) error { return os.Symlink("/dev/ptmx", p) },
	}
	for name, f := range make {
		p := root + "/dev/pts/ptmx"
		os.Remove(p)
		if err := f(p); err != nil {
			t.Fatal(err)
		}
		o := run(t, program(Rootfs{Path: root}, Pty{Console: 1}, exec("/bin/true")))
		if name == "link" {
			o.failed(t, "open /dev/pts/ptmx", unix.ELOOP)
		} else {
			o.failed(t, "/dev/pts/ptmx is not a devpts multiplexer", unix.ENODEV)
		}
		for _, r := range o.reports {
			t.Errorf("%s: reported %v", name, r)
		}
	}
}

func TestDeviceThatIsAnother(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	path := root + "/null"
	op := Mknod{Path: "/null", Mode: unix.S_IFCHR | 0o600, Device: 1<<32 | 3, UID: 7, GID: 8}
	run(t, program(Rootfs{Path: root}, op, exec("/bin/true"))).succeeded(t)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Uid != 7 || st.Gid != 8 || st.Mode != unix.S_IFCHR|0o600 || st.Rdev != unix.Mkdev(1, 3) {
		t.Fatalf("made %+v, %v", st, err)
	}
	run(t, program(Rootfs{Path: root}, op, exec("/bin/true"))).succeeded(t) // it may be there
	for name, other := range map[string]func() error{
		"another number": func() error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) },
		"another type":   func() error { return unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(1, 3))) },
		"a link":         func() error { return os.Symlink("/dev/null", path) },
		"a file":         func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		os.Remove(path)
		if err := other(); err != nil {
			t.Fatal(err)
		}
		if e := run(t, program(Rootfs{Path: root}, op)).failed(t, "mknod", unix.EEXIST); e.Detail == "" {
			t.Errorf("%s: no word on what is wrong", name)
		}
	}
}
