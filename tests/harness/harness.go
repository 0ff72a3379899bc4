// Package harness runs davit in tests as a user would: real bundles, the real
// binary, as root. It gives every test a [Sandbox] of its own (rootfs, state
// directory, id, cgroup) and proves after each that the host is as it was
// before ([HostState]).
//
// A package of tests calls [Main] from its TestMain.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Environment variables that choose what is tested and how.
const (
	// EnvBinary names the davit to test; by default it is built by make.
	EnvBinary = "DAVIT"
	// EnvPrograms names a folder with what [Program] would build: for machines without Go.
	EnvPrograms = "DAVIT_TEST_PROGRAMS"
	// EnvSlow is a number that what tests wait for at most is multiplied by: for emulated machines.
	EnvSlow   = "DAVIT_TEST_SLOW"
	envLayout = "DAVIT_TEST_LAYOUT" // set in processes that InLayout starts
)

// Timeout bounds every command that a test runs, unless it asks for another.
const Timeout = 30 * time.Second

// patience multiplies a time by [EnvSlow].
func patience(d time.Duration) time.Duration {
	if n, err := strconv.Atoi(os.Getenv(EnvSlow)); err == nil && n > 0 {
		d *= time.Duration(n)
	}
	return d
}

// suite is what the tests of one process share.
var suite struct {
	dir     string // removed at the end
	davit   func() (string, error)
	probe   func() (string, error)
	rootfs  func() (string, error) // the template that bundles are made from
	counter atomic.Int64
}

// Main runs the tests of a package and returns the exit code.
func Main(m *testing.M) int {
	syscall.Umask(0o022) // containers' users look at what the tests make
	if err := enterLayout(); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "davit-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	suite.dir = dir
	suite.davit = sync.OnceValues(findDavit)
	suite.probe = sync.OnceValues(func() (string, error) { return Program("tests/harness/probe") })
	suite.rootfs = sync.OnceValues(makeTemplate)
	return m.Run()
}

// Binary is the path of the davit under test.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := suite.davit()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// NeedRoot skips a test that the caller has no rights for.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it runs containers as a system's engine does")
	}
}

// NeedTool skips a test for which a program is not installed, and returns the program's path.
func NeedTool(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s, which is not installed (Debian's package is %s)", name, pkg)
	}
	return path
}

// ModuleDir is the top level of the sources.
func ModuleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the tests have to be run inside davit's sources")
}

// findDavit makes a copy: make in another terminal doesn't change the binary in the middle
// of a run, and tests execute it as users to whom the way to the sources may be closed.
func findDavit() (string, error) {
	copied := filepath.Join(suite.dir, "davit")
	if path := os.Getenv(EnvBinary); path != "" {
		if err := copyFile(path, copied, 0o755); err != nil {
			return "", fmt.Errorf("%s: %w", EnvBinary, err)
		}
		return copied, nil
	}
	dir, err := ModuleDir()
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("make", "-s", "-C", dir, "davit").CombinedOutput(); err != nil {
		// In full once, not in every test that fails for it.
		fmt.Fprintf(os.Stderr, "%s", out)
		return "", fmt.Errorf("make davit: %w", err)
	}
	return copied, copyFile(filepath.Join(dir, "davit"), copied, 0o755)
}

// Program builds a package of the module that runs in containers, and returns the program's path. It is static, because
// a rootfs has no C library. [Main] has to run by then.
func Program(pkg string) (string, error) {
	name := filepath.Base(pkg)
	if ready := filepath.Join(os.Getenv(EnvPrograms), name); os.Getenv(EnvPrograms) != "" {
		if _, err := os.Stat(ready); err == nil {
			return ready, nil
		}
	}
	dir, err := ModuleDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(suite.dir, name)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", out, "./"+pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return out, nil
}
