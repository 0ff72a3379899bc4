package libcontainer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openFile(t *testing.T, content string) int {
	t.Helper()
	p := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestHomeOf(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nbroken:x:7\nweb:x:33:33::/var/www:/bin/sh\nweb2:x:33:33::/other:/bin/sh\nlast:x:9:9::/nine:"
	for uid, want := range map[uint32]string{0: "/root", 33: "/var/www", 9: "/nine", 7: "", 1000: ""} {
		if got := homeOf(openFile(t, passwd), uid); got != want {
			t.Errorf("home of %d is %q, want %q", uid, got, want)
		}
	}
	// The image's file may be a FIFO or a device: it is not read.
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := homeOf(fd, 0); got != "" {
		t.Errorf("a device gave the home %q", got)
	}
}

func TestMountPointOf(t *testing.T) {
	if got := unescape(`/mnt/a\040b\134c`); got != `/mnt/a b\c` {
		t.Errorf("unescape: %q", got)
	}
	if at, err := mountPointOf("/proc/self/fd"); err != nil || !strings.HasPrefix(at, "/proc") {
		t.Errorf("a path in /proc is on the mount %q, %v", at, err)
	}
}

func TestSubCgroups(t *testing.T) {
	paths := map[string]string{"": "/sys/fs/cgroup/c", "cpu": "/cpu/c", "memory": "/memory/c"}
	for _, c := range []struct {
		arg, want string // want is where cpu ends up, or part of the error
		bad       bool
	}{
		{"sub", "/cpu/c/sub", false},
		{"cpu:sub/x", "/cpu/c/sub/x", false},
		{"memory:sub", "/cpu/c", false},
		{"cpu,memory:sub", "/cpu/c/sub", false},
		{"/", "/cpu/c", false},
		{"../other", "not a sub cgroup", true},
		{"cpu:../../etc", "not a sub cgroup", true},
		{"pids:sub", "no cgroup for controller", true},
	} {
		sub := map[string]string{"": paths[""], "cpu": paths["cpu"], "memory": paths["memory"]}
		err := subCgroup(sub, paths, c.arg)
		switch {
		case c.bad && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: error %v lacks %q", c.arg, err, c.want)
		case !c.bad && (err != nil || sub["cpu"] != c.want):
			t.Errorf("%q: cpu goes to %q, %v; want %q", c.arg, sub["cpu"], err, c.want)
		}
	}
}

func TestPIDFileIsWholeAndWithoutNewline(t *testing.T) {
	p := filepath.Join(t.TempDir(), "pid")
	// What a killed predecessor left must not be in the way.
	if err := os.WriteFile(filepath.Join(filepath.Dir(p), ".pid"), []byte("99999999"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{12345, 7} {
		if err := writePIDFile(p, pid); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(p); string(got) != "7" {
		t.Errorf("pid file holds %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(p), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
