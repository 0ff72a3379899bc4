package devices

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// testCgroup makes a cgroup in the unified hierarchy and returns its descriptor.
func testCgroup(t *testing.T) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads eBPF programs")
	}
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(mount, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := fmt.Sprintf("%s/davit-test-devices-%d", mount, os.Getpid())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			d.Close()
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		return int(d.Fd())
	}
	t.Skip("no cgroup2 filesystem is mounted")
	return -1
}

func policy(t *testing.T, list ...specs.LinuxDeviceCgroup) *Policy {
	t.Helper()
	p, err := NewPolicy(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestReplace: however often a policy changes, one program of davit's is attached, and
// what others attached stays.
func TestReplace(t *testing.T) {
	dirfd := testCgroup(t)
	foreign, err := load("somebody_elses", []Instruction{{Op: opMove, Imm: 1}, {Op: opExit}})
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.close()
	if err := attach(dirfd, foreign, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := policy(t, specs.LinuxDeviceCgroup{Allow: i%2 == 0}).Attach(dirfd, i == 0); err != nil {
			t.Fatal(err)
		}
		own, err := ours(dirfd)
		if err != nil || len(own) != 1 {
			t.Errorf("change %d: %d programs of davit's, %v", i, len(own), err)
		}
		for _, p := range own {
			p.close()
		}
		if ids, err := attached(dirfd); err != nil || len(ids) != 2 {
			t.Errorf("change %d: %d programs in all, %v", i, len(ids), err)
		}
	}
}

// TestNoMemlock: the limit that programs were once charged to doesn't matter any more.
func TestNoMemlock(t *testing.T) {
	dirfd := testCgroup(t)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
			t.Error(err)
		}
	}()
	if err := policy(t, specs.LinuxDeviceCgroup{}).Attach(dirfd, true); err != nil {
		t.Error(err)
	}
}

// TestVerifier has the kernel check what the interpreter was told to believe.
func TestVerifier(t *testing.T) {
	testCgroup(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		list := randomList(r)
		code, err := policy(t, list...).Program()
		if err != nil {
			t.Fatal(err)
		}
		p, err := load(programName, code)
		if err != nil {
			t.Fatalf("%+v: %v", list, err)
		}
		p.close()
	}
}

func TestAttachError(t *testing.T) {
	testCgroup(t)
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = policy(t, specs.LinuxDeviceCgroup{}).Attach(int(f.Fd()), true)
	if err == nil || !errors.Is(err, unix.EBADF) {
		t.Errorf("attached to a directory that is no cgroup: %v", err)
	}
}
