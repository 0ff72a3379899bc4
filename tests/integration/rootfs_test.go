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

func TestRootReadonly(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Mount(specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"}))
	s.Spec.Root.Readonly = true
	out := s.Sh("touch /file 2>&1 || echo refused; touch /tmp/file && echo written; cat /proc/self/mountinfo", harness.AllCapabilities())
	if !strings.HasPrefix(out, "touch: /file: Read-only file system\nrefused\nwritten\n") {
		t.Errorf("got %s", out)
	}
	if !mountAt(t, out, "/").has("ro") {
		t.Error("the root's mount is not read-only")
	}
	s.Spec.Root.Readonly = false
	s.Sh("touch /file")
	if _, err := os.Stat(s.Path("file")); err != nil {
		t.Errorf("a file that the container wrote is not in the rootfs: %v", err)
	}
}

func TestRootPaths(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Root.Path = s.Rootfs
	s.Sh("true")
	if err := os.Symlink("rootfs", filepath.Join(s.Bundle, "link")); err != nil {
		t.Fatal(err)
	}
	s.Spec.Root.Path = "link"
	s.Sh("true")
}

func TestRootfsPropagation(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"} {
		t.Run("value="+v, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			// The rootfs is a shared mount, so that slave and private can be told apart.
			copyOf := filepath.Join(s.Dir, "shared")
			if err := os.Mkdir(copyOf, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount(s.Rootfs, copyOf, "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(copyOf, unix.MNT_DETACH) })
			if err := unix.Mount("", copyOf, "", unix.MS_SHARED, ""); err != nil {
				t.Fatal(err)
			}
			s.Spec.Root.Path = copyOf
			s.Spec.Linux.RootfsPropagation = v
			root := mountAt(t, s.Sh("cat /proc/self/mountinfo"), "/")
			kind := strings.TrimPrefix(v, "r")
			if v == "" {
				kind = "slave"
			}
			// A shared one may be so among the container's mounts only; what it mounts must not reach the host (HostState).
			checkPropagation(t, root, kind, kind == "slave")
		})
	}
}

// Mounts that the host makes below the rootfs reach a container with slave propagation, and not the other way round.
func TestRootfsPropagationAcross(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.AllCapabilities())
	volume := filepath.Join(s.Dir, "volume")
	mountTmpfs(t, volume)
	if err := unix.Mount("", volume, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(volume, "late"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Edit(harness.Mount(specs.Mount{Destination: "/volume", Source: volume, Options: []string{"rbind", "rslave"}}),
		harness.Shell("until [ -f /volume/late/file ]; do sleep 0.01; done; mkdir /volume/own; mount -t tmpfs tmpfs /volume/own && echo seen"))
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Begin()
	s.WaitStatus(specs.StateRunning)
	late := filepath.Join(volume, "late")
	mountTmpfs(t, late)
	if err := os.WriteFile(filepath.Join(late, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := run.End()
	r.Succeeds()
	if r.Stdout() != "seen\n" {
		t.Errorf("got %q %s", r.Stdout(), r.Stderr())
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(table), filepath.Join(volume, "own")) {
		t.Error("a mount of the container appeared on the host")
	}
}

func TestMaskedAndReadonlyPaths(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.AllCapabilities())
	s.WriteFile("/secret/key", "hidden", 0o644)
	s.WriteFile("/file", "hidden", 0o644)
	s.WriteFile("/fixed/deep/file", "as it was", 0o644)
	s.WriteFile("/fixedfile", "as it was", 0o644)
	s.Spec.Linux.MaskedPaths = append(s.Spec.Linux.MaskedPaths, "/secret", "/file", "/missing", "/file/below/a/file")
	s.Spec.Linux.ReadonlyPaths = append(s.Spec.Linux.ReadonlyPaths, "/fixed", "/fixedfile", "/missing")
	out := s.Sh(`ls -A /secret; cat /file; echo x 2>&1 >/secret/new; echo discarded >/file; cat /file
		echo x 2>&1 >/fixed/deep/file; echo x 2>&1 >/fixedfile; echo 1 2>&1 >/proc/sys/kernel/hostname;
		cat /proc/timer_list /proc/keys; [ -e /missing ] || echo none`)
	want := `/bin/sh: can't create /secret/new: Read-only file system
/bin/sh: can't create /fixed/deep/file: Read-only file system
/bin/sh: can't create /fixedfile: Read-only file system
/bin/sh: can't create /proc/sys/kernel/hostname: Read-only file system
none
`
	if got := strings.ReplaceAll(out, "/bin/sh: line 0: ", "/bin/sh: "); sortedLines(got) != sortedLines(want) {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func sortedLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		if _, rest, ok := strings.Cut(lines[i], "can't create "); ok {
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

func TestDefaultDevices(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	out := s.Sh(`for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' /dev/$d; done
		for l in ptmx fd stdin stdout stderr; do echo $l $(readlink /dev/$l); done
		head -c 4 /dev/zero | od -An -tx1; echo x >/dev/full || true; echo x >/dev/null && echo fine; [ -e /dev/console ] && echo console; true`)
	want := `/dev/null character special file 1:3 666 0:0
/dev/zero character special file 1:5 666 0:0
/dev/full character special file 1:7 666 0:0
/dev/random character special file 1:8 666 0:0
/dev/urandom character special file 1:9 666 0:0
/dev/tty character special file 5:0 666 0:0
ptmx pts/ptmx
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
 00 00 00 00
fine
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/char", Type: "c", Major: 1, Minor: 3, FileMode: harness.Pointer(os.FileMode(0o640)), UID: harness.Pointer(uint32(7)), GID: harness.Pointer(uint32(8))},
		{Path: "/dev/unbuffered", Type: "u", Major: 10, Minor: 229},
		{Path: "/dev/deep/down/block", Type: "b", Major: 7, Minor: 300, FileMode: harness.Pointer(os.FileMode(0o600))},
		{Path: "/dev/pipe", Type: "p", FileMode: harness.Pointer(os.FileMode(0o622))},
		{Path: "/outside/node", Type: "c", Major: 1, Minor: 5},
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: harness.Pointer(os.FileMode(0o600))},
	}
	out := s.Sh("for d in /dev/char /dev/unbuffered /dev/deep/down/block /dev/pipe /outside/node /dev/null; do stat -c '%n %F %t:%T %a %u:%g' $d; done")
	want := `/dev/char character special file 1:3 640 7:8
/dev/unbuffered character special file a:e5 666 0:0
/dev/deep/down/block block special file 7:12c 600 0:0
/dev/pipe fifo 0:0 622 0:0
/outside/node character special file 1:5 666 0:0
/dev/null character special file 1:3 600 0:0
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// A file that is in a device's place must be that device (D2).
func TestDeviceMismatch(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(path string) error{
		"regular file": func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"other number": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"block device": func(p string) error { return unix.Mknod(p, unix.S_IFBLK|0o666, int(unix.Mkdev(1, 3))) },
		"symlink":      func(p string) error { return os.Symlink("/dev/null", p) },
		"directory":    func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			if err := os.Mkdir(s.Path("nodes"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := make(s.Path("nodes/device")); err != nil {
				t.Fatal(err)
			}
			s.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/nodes/device", Type: "c", Major: 1, Minor: 3}}
			s.Run().Fails("linux.devices[0]", "/nodes/device")
		})
	}
	s := harness.New(t)
	if err := os.Mkdir(s.Path("nodes"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(s.Path("nodes/device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	s.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/nodes/device", Type: "c", Major: 1, Minor: 3, FileMode: harness.Pointer(os.FileMode(0o644)), UID: harness.Pointer(uint32(7))}}
	if out := s.Sh("stat -c '%a %u' /nodes/device"); out != "600 0\n" {
		t.Errorf("the image's own node has become %s", out)
	}
}

// In a user namespace mknod(2) is refused: the host's nodes are bound.
func TestDevicesInUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536))
	if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	s.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}}
	out := s.Sh("for d in null zero full random urandom tty kmsg; do stat -c '%n %t:%T' /dev/$d; done; echo x >/dev/null && echo fine; head -c2 /dev/zero | wc -c")
	want := "/dev/null 1:3\n/dev/zero 1:5\n/dev/full 1:7\n/dev/random 1:8\n/dev/urandom 1:9\n/dev/tty 5:0\n/dev/kmsg 1:b\nfine\n2\n"
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// linux.resources.devices decides what nodes can be opened, in the order of the list (D5).
func TestDeviceRules(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.AllCapabilities())
	s.Spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}, {Path: "/dev/loop-control", Type: "c", Major: 10, Minor: 237},
	}
	kmsg := func(allow bool, access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: allow, Type: "c", Major: harness.Pointer(int64(1)), Minor: harness.Pointer(int64(11)), Access: access}
	}
	s.Spec.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"}, kmsg(true, "rw"), kmsg(false, "r"),
	}}
	out := s.Sh(`(: >/dev/kmsg) && echo writes; (: 2>/dev/null </dev/kmsg) || echo does not read
		(: 2>/dev/null </dev/loop-control) || echo nothing else; (: </dev/zero) && echo but the defaults`)
	if out != "writes\ndoes not read\nnothing else\nbut the defaults\n" {
		t.Errorf("got %q", out)
	}
}

func TestNoPivot(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("ls /bin/busybox; ls / | sort | tr '\\n' ' '; cat /proc/self/mountinfo"))
	s.WriteConfig()
	r := s.Davit("run", "--no-pivot", "--bundle", s.Bundle, s.ID)
	r.Succeeds()
	if !strings.HasPrefix(r.Stdout(), "/bin/busybox\nbin dev etc home proc root sys tmp ") {
		t.Errorf("got %s", r.Stdout())
	}
	for _, m := range parseMounts(r.Stdout()) {
		if strings.HasPrefix(m.at, s.Dir) {
			t.Errorf("%s is mounted by its path on the host", m.at)
		}
	}
}

// A rootfs on an overlay, as engines mount it: private and read-write.
func TestRootfsOverlay(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	merged := filepath.Join(s.Dir, "merged")
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(s.Dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", s.Rootfs, s.Dir, s.Dir)
	if err := unix.Mount("overlay", merged, "overlay", 0, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	s.Spec.Root.Path = merged
	s.Sh("echo new >/file")
	if _, err := os.Stat(filepath.Join(s.Dir, "upper/file")); err != nil {
		t.Error(err)
	}
}
