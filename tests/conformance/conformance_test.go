package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// suite is the validation suite, built, and the runtime as it is told to it.
type suite struct {
	dir      string // of the programs, and where they run: they look for runtimetest and the rootfs there
	version  string
	programs []string
	davit    string
	state    string // davit's --root
	wrapper  string
	fixed    sync.Mutex // held by a program that uses a cgroup of a fixed name
}

const module = "github.com/opencontainers/runtime-tools"

func TestConformance(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the programs make containers as a system's engine does")
	}
	s := build(t)
	spec := sources(t, "github.com/opencontainers/runtime-spec")
	for _, e := range explanations {
		if e.kind != ofHost && !e.quoted(spec) {
			t.Errorf("%s doesn't say: %s", e.file, e.sentence)
		}
	}
	reports := make([]*report, len(s.programs))
	t.Run("programs", func(t *testing.T) {
		for i, p := range s.programs {
			t.Run(p, func(t *testing.T) {
				t.Parallel()
				reports[i] = s.run(t, p)
				check(t, p, reports[i])
			})
		}
	})
	if path := os.Getenv("DAVIT_CONFORMANCE_PAGE"); path != "" && !t.Failed() {
		if err := os.WriteFile(path, page(s, reports), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares what failed with what is known to fail.
func check(t *testing.T, program string, r *report) {
	if r == nil {
		return // skipped
	}
	used := make(map[int]bool)
	for _, p := range r.failed {
		if i, ok := explain(program, p); ok {
			used[i] = true
		} else {
			t.Errorf("fails, and nothing explains it: %s", p)
		}
	}
	for i, e := range explanations {
		if e.of(program) && (e.lacks == nil || e.lacks()) && !used[i] {
			t.Errorf("is said to fail, but passes: %q", e.points)
		}
	}
}

// build makes the programs of the module's version in go.mod.
func build(t *testing.T) *suite {
	rootfs := filepath.Join(sources(t, module), "rootfs-"+runtime.GOARCH+".tar.gz")
	archive, err := os.ReadFile(rootfs)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the suite has no root filesystem for %s", runtime.GOARCH)
	} else if err != nil {
		t.Fatal(err)
	}
	s := &suite{dir: t.TempDir(), state: t.TempDir(), davit: os.Getenv("DAVIT")}
	if s.davit == "" {
		s.davit, _ = filepath.Abs("../../davit")
	}
	if _, err := os.Stat(s.davit); err != nil {
		t.Fatalf("build davit first, with make: %v", err)
	}
	s.version = strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Version}}", module))
	for p := range strings.Lines(run(t, "go", "list", "tool")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(p), module+"/validation/"); ok {
			s.programs = append(s.programs, name)
		}
	}
	slices.Sort(s.programs)
	run(t, "go", "build", "-trimpath", "-o", s.dir+"/", "tool")
	s.wrapper = filepath.Join(s.state, "runtime")
	s.state = filepath.Join(s.state, "state-of-davit")
	script := fmt.Sprintf("#!/bin/sh\nexec %s --root %s \"$@\"\n", s.davit, s.state)
	for path, text := range map[string][]byte{filepath.Join(s.dir, filepath.Base(rootfs)): archive, s.wrapper: []byte(script)} {
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.sweep)
	return s
}

// sources is where a module's are. What no package here imports isn't in the module cache by itself.
func sources(t *testing.T, module string) string {
	run(t, "go", "mod", "download", module)
	return strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Dir}}", module))
}

func run(t *testing.T, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // runtimetest runs in a rootfs that has no libraries
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	return string(out)
}

// run runs one program, in a mount namespace of its own.
func (s *suite) run(t *testing.T, program string) *report {
	if strings.HasPrefix(program, "linux_cgroups_") || strings.HasPrefix(program, "delete_") {
		if _, err := os.Stat("/sys/fs/cgroup/pids"); err != nil {
			t.Skip("the program reads cgroup v1 hierarchies, and there are none")
		}
		s.fixed.Lock()
		defer s.fixed.Unlock()
	}
	tmp := t.TempDir()
	if err := os.Chmod(filepath.Dir(tmp), 0o755); err != nil {
		t.Fatal(err) // users of containers pass through it
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, program))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "RUNTIME="+s.wrapper, "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", stdout.String(), stderr.String())
		}
	})
	return parse(stdout.String(), stderr.String(), err)
}

// sweep removes what programs leave: containers that they never delete, and the
// cgroups above the container's that a relative cgroupsPath of theirs names.
func (s *suite) sweep() {
	left, _ := os.ReadDir(s.state)
	for _, c := range left {
		if !strings.HasPrefix(c.Name(), "@") { // davit's cache
			_ = exec.Command(s.wrapper, "delete", "--force", c.Name()).Run()
		}
	}
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*/davit/testdir/cgrouptest")
	unified, _ := filepath.Glob("/sys/fs/cgroup/davit/testdir/cgrouptest")
	for _, d := range slices.Concat(dirs, unified) {
		_ = syscall.Rmdir(d)
		_ = syscall.Rmdir(filepath.Dir(d))
		_ = syscall.Rmdir(filepath.Dir(filepath.Dir(d))) // not while other containers are there
	}
}
