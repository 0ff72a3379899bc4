package cgroups

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// viewEnv tells a re-executed test binary which view of the host's cgroups to make for
// itself, in a mount namespace of its own.
const viewEnv = "CGROUPS_TEST_VIEW"

// TestMain runs the tests on what the host mounts and again, as root, in private views:
// version 1 hierarchies alone, and the unified hierarchy alone.
func TestMain(m *testing.M) {
	if os.Getenv("CGROUPS_TEST_HELPER") != "" {
		os.Exit(helper(os.Getenv("CGROUPS_TEST_HELPER")))
	}
	if view := os.Getenv(viewEnv); view != "" {
		if err := makeView(view); err != nil {
			fmt.Fprintf(os.Stderr, "view %s: %v\n", view, err)
			os.Exit(1)
		}
		fmt.Printf("=== cgroup view: %s\n", view)
		os.Exit(m.Run())
	}
	code := m.Run()
	if os.Geteuid() == 0 {
		host, err := Detect()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if host.Mode == Hybrid {
			for _, view := range [...]string{"v1", "v2"} {
				cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
				cmd.Env = append(os.Environ(), viewEnv+"="+view)
				cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
				cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
				if err := cmd.Run(); err != nil {
					fmt.Fprintf(os.Stderr, "view %s: %v\n", view, err)
					code = 1
				}
			}
		}
	}
	os.Exit(code)
}

// makeView rearranges /sys/fs/cgroup in the caller's mount namespace, which is private.
func makeView(view string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if view == "v2" {
		for unix.Unmount(defaultMount, unix.MNT_DETACH) == nil {
		}
		return unix.Mount("none", defaultMount, "cgroup2", 0, "")
	}
	host, err := Detect()
	if err != nil {
		return err
	}
	if host.Unified == "" || host.Unified == defaultMount {
		return errors.New("no hybrid host to make a version 1 view from")
	}
	return unix.Unmount(host.Unified, unix.MNT_DETACH)
}

// helper is what a process started by a test does; see startHelper.
func helper(what string) int {
	switch what {
	case "sleep":
		fmt.Println("ready")
		select {}
	}
	return 2
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: creates cgroups")
	}
}

func detect(t *testing.T) *Layout {
	t.Helper()
	l, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	if l.Mode == None {
		t.Skip("no cgroup filesystem is mounted")
	}
	return l
}

// newManager returns a manager that is destroyed with the test, with everything in it.
func newManager(t *testing.T, cfg Config) Manager {
	t.Helper()
	needRoot(t)
	if cfg.ID == "" {
		cfg.ID = fmt.Sprintf("test-%d-%s", os.Getpid(), filepath.Base(t.Name()))
	}
	m, err := New(detect(t), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.Kill(unix.SIGKILL)
		if err := m.Destroy(); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
		for c, dir := range m.Paths() {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%q: %s is left", c, dir)
			}
		}
		m.Close()
	})
	return m
}

// sleeper starts a process that does nothing, ended with the test at the latest.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done })
	return cmd
}
