package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func copyUp(destination string, options ...string) harness.Edit {
	return harness.Mount(specs.Mount{Destination: destination, Type: "tmpfs", Source: "tmpfs", Options: append([]string{"tmpcopyup"}, options...)})
}

// must fails the test at the first error of a preparation.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fill makes a file of each kind in the rootfs's /srv/data.
func fill(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	s.WriteFile("/srv/data/file", "content\n", 0o640)
	s.WriteFile("/srv/data/dir/sub/setuid", "x", 0o755)
	s.WriteFile("/srv/data/capable", "x", 0o755)
	at := func(p string) string { return s.Path("/srv/data/" + p) }
	must(t, os.Chown(at("file"), 7, 8), os.Chown(at("dir"), 9, 10), unix.Chmod(at("dir"), 0o1750), os.Chown(at("dir/sub/setuid"), 11, 12),
		unix.Chmod(at("dir/sub/setuid"), 0o6711), os.Symlink("/etc/shadow", at("absolute")), os.Symlink("../../../..", at("up")),
		os.Lchown(at("up"), 13, 14), unix.Mkfifo(at("pipe"), 0o600), unix.Chmod(at("pipe"), 0o622), unix.Mknod(at("node"), unix.S_IFCHR|0o604, int(unix.Mkdev(1, 5))),
		unix.Mknod(at("socket"), unix.S_IFSOCK|0o600, 0), unix.Setxattr(at("file"), "user.davit", []byte("kept"), 0),
		unix.Setxattr(at("dir"), "trusted.davit", []byte("kept"), 0),
		// CAP_NET_BIND_SERVICE, permitted and effective: struct vfs_cap_data, version 2.
		unix.Setxattr(at("capable"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0),
		os.WriteFile(at("hole"), nil, 0o600), os.Truncate(at("hole"), 1<<42), os.Chown(s.Path("/srv/data"), 15, 16), unix.Chmod(s.Path("/srv/data"), 0o2751),
		os.Chtimes(at("file"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
}

func TestTmpcopyup(t *testing.T) {
	t.Parallel()
	s := harness.New(t, copyUp("/srv/data", "nodev", "size=1m"))
	fill(t, s)
	s.InstallProbe()
	out := s.Sh(`cd /srv/data; stat -c '%n %F %a %u:%g' . file dir dir/sub dir/sub/setuid capable absolute up pipe socket hole
		stat -c '%n %F %a %t:%T' node; stat -c %Y file; readlink absolute; readlink up; cat file; stat -c %s hole; du -k hole
		for x in "file user.davit" "dir trusted.davit" "capable security.capability"; do /probe xattr $x; done; echo changed >file; rm -r dir; cat /proc/self/mountinfo`,
		harness.AllCapabilities())
	want := `. directory 2751 15:16
file regular file 640 7:8
dir directory 1750 9:10
dir/sub directory 755 0:0
dir/sub/setuid regular file 6711 11:12
capable regular file 755 0:0
absolute symbolic link 777 0:0
up symbolic link 777 13:14
pipe fifo 622 0:0
socket socket 600 0:0
hole regular file 600 0:0
node character special file 604 1:5
1000000000
/etc/shadow
../../../..
content
4398046511104
0	hole
"kept"
"kept"
"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
`
	if !strings.HasPrefix(out, want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if m := mountAt(t, out, "/srv/data"); m.fstype != "tmpfs" || !m.has("nodev") || !m.superHas("size=1024k") {
		t.Errorf("mounted is %+v", m)
	}
	if data, err := os.ReadFile(s.Path("/srv/data/file")); err != nil || string(data) != "content\n" {
		t.Errorf("the rootfs's file has become %q (%v)", data, err)
	}
	if _, err := os.Stat(s.Path("/srv/data/dir/sub/setuid")); err != nil {
		t.Error(err)
	}
}

// A tmpfs takes the mode of the directory that it hides; of one that was missing there is none to be taken.
func TestTmpfsMode(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for dir, mode := range map[string]uint32{"kept": 0o700, "set": 0o700, "up": 0o2711, "owned": 0o711} {
		must(t, os.Mkdir(s.Path(dir), 0o755), os.Chown(s.Path(dir), 5, 6), unix.Chmod(s.Path(dir), mode))
	}
	tmpfs := func(at string, options ...string) {
		s.Edit(harness.Mount(specs.Mount{Destination: at, Type: "tmpfs", Source: "tmpfs", Options: options}))
	}
	tmpfs("/kept")
	tmpfs("/set", "mode=750")
	tmpfs("/missing")
	tmpfs("/up", "tmpcopyup", "ro")
	tmpfs("/kept", "ro")
	tmpfs("/kept/../kept")
	tmpfs("/owned", "tmpcopyup", "uid=3", "mode=1700")
	want := "/kept 700 0:0\n/set 750 0:0\n/missing 1777 0:0\n/up 2711 5:6\n/owned 1700 3:0\n"
	if got := s.Sh("stat -c '%n %a %u:%g' /kept /set /missing /up /owned"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTmpcopyupReadOnly(t *testing.T) {
	t.Parallel()
	s := harness.New(t, copyUp("/srv/a", "ro"), harness.Mount(specs.Mount{Destination: "/srv/a/inside", Type: "tmpfs", Source: "inside"}),
		// Its path is another mount's at the end, so it becomes read-only at once.
		copyUp("/srv/b/c", "ro", "noexec"), harness.Mount(specs.Mount{Destination: "/srv/b", Source: "/", Options: []string{"bind"}}))
	s.WriteFile("/srv/a/file", "a", 0o644)
	s.WriteFile("/srv/b/c/file", "c", 0o644)
	out := s.Sh("cat /srv/a/file; touch /srv/a/new 2>/dev/null || echo refused; touch /srv/a/inside/new; cat /proc/self/mountinfo", harness.AllCapabilities())
	if !strings.HasPrefix(out, "arefused\n") {
		t.Errorf("got %s", out)
	}
	for at, want := range map[string]string{"/srv/a": "ro", "/srv/a/inside": "rw", "/srv/b/c": "ro"} {
		if m := mountAt(t, out, at); !m.has(want) {
			t.Errorf("%s is not %s: %v", at, want, m.options)
		}
	}
}

// An image can't make the copy read a FIFO or device, leave the rootfs, or go on for ever.
func TestTmpcopyupHostile(t *testing.T) {
	t.Parallel()
	t.Run("links", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t, copyUp("/srv/out"), copyUp("/loop"))
		must(t, os.MkdirAll(s.Path("/srv"), 0o755), os.Symlink("../../../../../../../../etc", s.Path("/srv/out")), os.Symlink("loop", s.Path("loop")))
		s.Run().Fails("/loop")
		must(t, os.Remove(s.Path("loop")), os.MkdirAll(s.Path("/etc/only"), 0o755))
		s.WriteFile("/etc/only/here", "", 0o644)
		if out := s.Sh("ls /etc/only; [ -e /etc/hostname ] || echo the image"); out != "here\nthe image\n" {
			t.Errorf("got %q", out)
		}
	})
	t.Run("deep", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t, copyUp("/srv"))
		must(t, os.MkdirAll(s.Path("/srv"+strings.Repeat("/d", 300)), 0o755))
		s.Run().Fails("mounts[7] (/srv)", "nested this deep", "/d/d/d")
	})
	t.Run("big", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t, copyUp("/srv", "size=64k"))
		s.WriteFile("/srv/dir/big", strings.Repeat("x", 1<<20), 0o644)
		s.Run().Fails("mounts[7] (/srv)", "/dir/big", "no space left on device")
	})
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t, copyUp("/srv", "nr_inodes=20"))
		for i := range 30 {
			s.WriteFile("/srv/dir/"+number(i), "", 0o644)
		}
		s.Run().Fails("mounts[7] (/srv)", "/dir/", "no space left on device")
	})
	// What is mounted below belongs to nobody's content, and is not the tmpfs's either.
	t.Run("mounts", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t)
		volume := filepath.Join(s.Dir, "volume")
		must(t, os.MkdirAll(volume, 0o755), os.WriteFile(filepath.Join(volume, "secret"), nil, 0o600))
		s.WriteFile("/srv/file", "", 0o644)
		s.Edit(harness.Mount(specs.Mount{Destination: "/srv/volume", Source: volume, Options: []string{"bind"}}), copyUp("/srv"))
		if out := s.Sh("find /srv | sort"); out != "/srv\n/srv/file\n" {
			t.Errorf("got %q", out)
		}
	})
}

// Owners are those that the container sees.
func TestTmpcopyupInUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), copyUp("/srv"), harness.WithoutMount("/sys/fs/cgroup"))
	s.WriteFile("/srv/dir/file", "content\n", 0o640)
	s.WriteFile("/srv/foreign", "", 0o644)
	must(t, os.Chown(s.Rootfs, 100000, 100000), os.Chown(s.Path("/srv"), 100000, 100005), os.Chown(s.Path("/srv/dir"), 101000, 101001), os.Chown(s.Path("/srv/dir/file"), 101002, 101003))
	out := s.Sh("stat -c '%n %a %u:%g' /srv /srv/dir /srv/dir/file /srv/foreign; cat /srv/dir/file", harness.AllCapabilities())
	if want := "/srv 755 0:5\n/srv/dir 755 1000:1001\n/srv/dir/file 640 1002:1003\n/srv/foreign 644 65534:65534\ncontent\n"; out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	// A file that the container's root may not read can't be copied.
	must(t, os.Chmod(s.Path("/srv/foreign"), 0o600))
	s.Run().Fails("mounts[6] (/srv)", "/foreign", "permission denied")
}

// With a single id mapped, what belongs to anybody else becomes the container's root's, but lends nobody its rights.
func TestTmpcopyupOfUnmappedOwners(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 1), copyUp("/srv"), harness.WithoutMount("/sys/fs/cgroup"), harness.WithoutMount("/dev/pts"))
	s.WriteFile("/srv/own", "", 0o600)
	s.WriteFile("/srv/foreign", "", 0o644)
	must(t, os.Chown(s.Rootfs, 100000, 100000), os.Chown(s.Path("/srv"), 100000, 100000), os.Chown(s.Path("/srv/own"), 100000, 100000), unix.Chmod(s.Path("/srv/own"), 0o4700), unix.Chmod(s.Path("/srv/foreign"), 0o6755))
	if out, want := s.Sh("stat -c '%n %a %u:%g' /srv/own /srv/foreign"), "/srv/own 4700 0:0\n/srv/foreign 755 0:0\n"; out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}
