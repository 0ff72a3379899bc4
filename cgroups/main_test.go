package cgroups

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
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
	fuzzing := slices.ContainsFunc(os.Args, func(a string) bool {
		return strings.HasPrefix(a, "-test.fuzz") && !strings.HasPrefix(a, "-test.fuzzcachedir")
	})
	if os.Geteuid() == 0 && !fuzzing {
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

// helperConfig is the part of a [Config] that is told to a helper.
type helperConfig struct {
	ID, Path  string
	Rootless  bool
	Resources *specs.LinuxResources
}

// helper is what a process started by a test does.
func helper(what string) int {
	if what != "create" {
		return 2
	}
	var arg helperConfig
	if err := json.Unmarshal([]byte(os.Args[1]), &arg); err != nil {
		fmt.Println(err)
		return 2
	}
	cfg := Config{ID: arg.ID, Path: arg.Path, Rootless: arg.Rootless, Resources: arg.Resources}
	layout, err := Detect()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cfg.Warn = func(w Warning) { fmt.Println("warning:", w) }
	m, err := New(layout, &cfg)
	if err == nil {
		err = m.Create()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("%d paths\n", len(m.Paths()))
	return 0
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

// shell is a shell in a container's cgroups that does what it is told.
type shell struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string // lines; closed when the shell has ended
}

// newShell starts a shell and attaches it.
func newShell(t *testing.T, m Manager) *shell {
	t.Helper()
	s := &shell{t: t, cmd: exec.Command("sh"), out: make(chan string, 64)}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.out <- lines.Text()
		}
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = m.Thaw() // a frozen process doesn't die in version 1
		_ = s.cmd.Process.Kill()
		s.in.Close()
		for range s.out {
		}
	})
	if err := m.Attach(s.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shell) tell(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// answer returns the next line of output, or "" if none comes within the time.
func (s *shell) answer(within time.Duration) string {
	select {
	case line := <-s.out:
		return line
	case <-time.After(within):
		return ""
	}
}

func (s *shell) ask(line string) string {
	s.t.Helper()
	s.tell(line)
	a := s.answer(5 * time.Second)
	if a == "" {
		s.t.Fatalf("no answer to %q", line)
	}
	return a
}

// needController skips a test where the host can't have the controller; where it can, a
// manager that didn't use it fails the test by itself.
func needController(t *testing.T, name string) {
	t.Helper()
	l := detect(t)
	if l.V1Controller(name) != nil {
		return
	}
	if l.Unified != "" {
		if name == "blkio" {
			name = "io"
		}
		have, err := os.ReadFile(l.Unified + "/cgroup.controllers")
		if err == nil && slices.Contains(strings.Fields(string(have)), name) {
			return
		}
	}
	t.Skipf("no hierarchy of this view (%s) has the %s controller", l.Mode, name)
}

func ptr[T any](v T) *T { return &v }
