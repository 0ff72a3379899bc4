package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leakPatience is how long the tests let a leak last.
const leakPatience = 300 * time.Millisecond

// TestMain runs the tests in a mount namespace of their own.
func TestMain(m *testing.M) {
	const inside = "DAVIT_LAB_INSIDE"
	if os.Getuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}

func needRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, who makes the leaks that are to be found")
	}
}

// TestHostFindsLeaks leaves behind what engines could, and expects to be told.
func TestHostFindsLeaks(t *testing.T) {
	needRoot(t)
	for _, leak := range []struct {
		what, told string
		make       func(t *testing.T)
	}{
		{"an empty cgroup", "left behind: cgroup ", func(t *testing.T) { makeCgroup(t) }},
		{"a cgroup of a process of ours", "left behind: cgroup ", func(t *testing.T) { join(t, makeCgroup(t), sleeper(t, marks()+"9")) }},
		{"a process of ours", "left behind: process ", func(t *testing.T) { sleeper(t, marks()+"9") }},
		{"a mount of ours in a temporary directory", "left behind: mount ", func(t *testing.T) { makeMount(t, marks()+"9") }},
		{"a container's state", "left behind: file /run/davit/", func(t *testing.T) { makeState(t, "/tmp/"+marks()+"9/bundle") }},
		{"a mount elsewhere", "left behind: mount ", func(t *testing.T) {
			dir, err := os.MkdirTemp("/mnt", "lab")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Remove(dir) })
			mount(t, dir)
		}},
	} {
		t.Run(strings.ReplaceAll(leak.what, " ", "_"), func(t *testing.T) {
			mount(t, "/run")
			before := hostNow()
			leak.make(t)
			if diff := before.settle(leakPatience); !strings.Contains(diff, leak.told) {
				t.Errorf("nothing of %q is told of %s, but: %s", leak.told, leak.what, diff)
			}
		})
	}
	t.Run("a_sysctl", func(t *testing.T) {
		before := hostNow()
		const name = "/proc/sys/kernel/panic"
		before.sysctls[name] += "1" // as if it had been another
		if diff := before.settle(leakPatience); !strings.Contains(diff, "changed: sysctl "+name) {
			t.Errorf("the sysctl isn't told, but: %s", diff)
		}
	})
}

// TestHostKnowsOthers does what others do meanwhile, which is no leak.
func TestHostKnowsOthers(t *testing.T) {
	needRoot(t)
	mount(t, "/run")
	gone := makeCgroup(t)
	before := hostNow()
	join(t, makeCgroup(t), sleeper(t, "1"))
	makeMount(t, "another-1-")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	makeState(t, "/another/bundle")
	fleeting := makeCgroup(t)
	time.AfterFunc(time.Second, func() { os.Remove(fleeting) })
	if diff := before.settle(settling); diff != "" {
		t.Errorf("another's work is taken for a leak:\n%s", diff)
	}
}

// makeState makes what davit's state of a container looks like; /run has to be the test's own.
func makeState(t *testing.T, bundle string) {
	if err := os.MkdirAll("/run/davit/labtest", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/davit/labtest/state.json", []byte(`{"bundle": "`+bundle+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hierarchy is one that has cgroups on every host.
func hierarchy() string {
	if Cgroups(V1).Missing() == "" {
		return filepath.Join(cgroupRoot, "pids")
	}
	return cgroupRoot
}

func makeCgroup(t *testing.T) string {
	dir, err := os.MkdirTemp(hierarchy(), "labtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 { // until the kernel has ended its processes
			if err := os.Remove(dir); err == nil || os.IsNotExist(err) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s can't be removed", dir)
	})
	return dir
}

// sleeper starts a process with this name.
func sleeper(t *testing.T, name string) int {
	cmd := exec.Command("sleep", "1000")
	cmd.Args[0] = name
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func join(t *testing.T, cgroup string, pid int) {
	if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

func makeMount(t *testing.T, name string) {
	dir, err := os.MkdirTemp("/tmp", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	mount(t, dir)
}

func mount(t *testing.T, dir string) {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
