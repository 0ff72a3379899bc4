package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Layout is how the control groups look from where the tests run.
type Layout string

// The layouts. The host's own may be any of them.
const (
	V1     Layout = "v1"
	V2     Layout = "v2"
	Hybrid Layout = "hybrid"
)

const cgroupRoot = "/sys/fs/cgroup"

// CurrentLayout finds out which layout this process sees.
func CurrentLayout() (Layout, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return "", fmt.Errorf("%s: %w", cgroupRoot, err)
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return V2, nil
	}
	if unix.Statfs(cgroupRoot+"/unified", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return Hybrid, nil
	}
	return V1, nil
}

// InOtherLayout tells whether this is a process that InLayout has started.
func InOtherLayout() bool { return os.Getenv(envLayout) != "" }

// InLayout runs the tests that match pattern once more, in a process whose
// private mount namespace shows another layout. The host's hierarchies are the
// same and stay as they are.
func InLayout(t *testing.T, layout Layout, pattern string) {
	t.Helper()
	NeedRoot(t)
	have, err := CurrentLayout()
	if err != nil {
		t.Fatal(err)
	}
	if have == layout {
		t.Skipf("the tests run in cgroup %s already", layout)
	}
	if have == V2 {
		t.Skip("this host has no cgroup v1 hierarchy that could be shown")
	}
	if os.Getenv(envLayout) != "" {
		t.Skip("in another layout already")
	}
	again(t, string(layout), pattern)
}

// InPrivateMounts is InLayout for tests that mount something else than control groups: these stay as they are.
func InPrivateMounts(t *testing.T, pattern string) {
	t.Helper()
	NeedRoot(t)
	if InOtherLayout() {
		t.Skip("in another layout already")
	}
	again(t, sameLayout, pattern)
}

// sameLayout is the value of envLayout that changes nothing.
const sameLayout = "same"

// again runs tests in a process with a mount namespace of its own.
func again(t *testing.T, layout, pattern string) {
	t.Helper()
	probe, err := suite.probe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", pattern, "-test.timeout", "8m")
	if testing.Short() {
		cmd.Args = append(cmd.Args, "-test.short")
	}
	if testing.Verbose() {
		cmd.Args = append(cmd.Args, "-test.v")
	}
	cmd.Env = append(os.Environ(), envLayout+"="+layout, EnvPrograms+"="+filepath.Dir(probe), EnvBinary+"="+Binary(t))
	// The standard library makes the namespace's mounts private.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	if err != nil || testing.Verbose() {
		t.Logf("in cgroup %s:\n%s", layout, indent(string(out)))
	}
	if err != nil {
		t.Errorf("in cgroup %s: %v", layout, err)
	}
	if strings.Contains(string(out), "no tests to run") {
		t.Errorf("in cgroup %s: no test matches %s", layout, pattern)
	}
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

// enterLayout makes the layout that InLayout has asked for, in the namespace that it made.
func enterLayout() error {
	switch Layout(os.Getenv(envLayout)) {
	case "", sameLayout:
		return nil
	case V2:
		if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", cgroupRoot, err)
		}
		return mount("none", cgroupRoot, "cgroup2", 0)
	case V1:
		return showV1()
	}
	return fmt.Errorf("unknown layout in %s", envLayout)
}

// showV1 replaces what is mounted on /sys/fs/cgroup by its v1 hierarchies.
func showV1() error {
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "davit-test-cgroup-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := mount("tmpfs", tmp, "tmpfs", 0); err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(cgroupRoot, e.Name()), filepath.Join(tmp, e.Name())
		var st unix.Statfs_t
		if unix.Statfs(from, &st) != nil || st.Type != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		if link, err := os.Readlink(from); err == nil { // cpu -> cpu,cpuacct
			if err := os.Symlink(link, to); err != nil {
				return err
			}
			continue
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		if err := mount(from, to, "", unix.MS_BIND); err != nil {
			return err
		}
	}
	if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", cgroupRoot, err)
	}
	return mount(tmp, cgroupRoot, "", unix.MS_MOVE)
}

func mount(source, target, fstype string, flags uintptr) error {
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
