package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups"
	"davit/nsenter"
)

// asDavit makes the test program behave as davit.
const asDavit = "DAVIT_TEST_AS_DAVIT"

func TestMain(m *testing.M) {
	if os.Getenv(asDavit) != "" {
		os.Unsetenv(asDavit)
		os.Exit(Main(append([]string{name}, os.Args[1:]...), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// engine is a caller of davit with a state directory of its own.
type engine struct {
	t    *testing.T
	root string
	env  []string
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making containers with cgroups takes root")
	}
	if _, err := exec.LookPath("busybox"); err != nil {
		t.Skip("there is no busybox to run in a container (Debian's package is busybox-static)")
	}
	return &engine{t: t, root: filepath.Join(t.TempDir(), "root"), env: os.Environ()}
}

func (e *engine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{"--root", e.root}, args...)...)
	cmd.Env = append(e.env[:len(e.env):len(e.env)], asDavit+"=1")
	return cmd
}

// call runs davit as a process of its own.
func (e *engine) call(args ...string) (code int, stdout, stderr string) {
	e.t.Helper()
	cmd := e.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		e.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// must is call without the possibility of failure; it returns stdout.
func (e *engine) must(args ...string) string {
	e.t.Helper()
	code, out, errs := e.call(args...)
	if code != 0 || errs != "" {
		e.t.Fatalf("davit %s: exit %d, stderr %q", strings.Join(args, " "), code, errs)
	}
	return out
}

// start runs a shell script in a new container, detached, until the test ends.
func (e *engine) start(id, script string, change ...func(*specs.Spec)) {
	e.t.Helper()
	bundle := e.bundle(id, script, change...)
	// A file keeps the container from holding a pipe of the test's open.
	log, err := os.Create(filepath.Join(bundle, "out"))
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.t.Cleanup(func() { e.must("delete", "--force", id) })
	cmd := e.command("run", "--detach", "--bundle", bundle, id)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		if bytes.Contains(text, []byte(nsenter.ErrNoStage.Error())) {
			e.t.Skip(nsenter.ErrNoStage)
		}
		if lacks := lackingControllers(e.t); lacks != "" && bytes.Contains(text, []byte("controller is not available")) {
			e.t.Skipf("needs limits, and this host has no controller for %s", lacks)
		}
		e.t.Fatalf("davit run: %v: %s", err, text)
	}
}

func (e *engine) bundle(id, script string, change ...func(*specs.Spec)) string {
	e.t.Helper()
	dir := e.t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		e.t.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, d := range []string{"bin", "proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/busybox"), program, 0o755); err != nil {
		e.t.Fatal(err)
	}
	spec := defaultSpec(true)
	spec.Process.Terminal = false
	spec.Process.Args = []string{"/bin/busybox", "sh", "-c", script}
	spec.Process.Env = append(spec.Process.Env, "ENV=/none")
	spec.Linux.CgroupsPath = fmt.Sprintf("/davit-cli-%d-%s", os.Getpid(), id)
	for _, f := range change {
		f(spec)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), raw, 0o644); err != nil {
		e.t.Fatal(err)
	}
	return dir
}

func (e *engine) status(id string) (s struct {
	Status string
	PID    int
}) {
	e.t.Helper()
	if err := json.Unmarshal([]byte(e.must("state", id)), &s); err != nil {
		e.t.Fatal(err)
	}
	return s
}

// eventually waits for a condition, for a few seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("%s: not within ten seconds", what)
}

// cgroupsOf returns the directories of a process's control groups.
func cgroupsOf(t *testing.T, pid int) (dirs []string) {
	t.Helper()
	layout, err := cgroups.Detect()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := cgroups.PathsOf(layout, pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range paths {
		dirs = append(dirs, dir)
	}
	return dirs
}

// lackingControllers names those of the tests' limits that neither version of
// control groups has here.
func lackingControllers(t *testing.T) string {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	have := strings.FieldsFunc(string(own), func(r rune) bool { return strings.ContainsRune(":,\n", r) })
	if unified, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		have = append(have, strings.Fields(string(unified))...)
	}
	var lacks []string
	for _, name := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(have, name) {
			lacks = append(lacks, name)
		}
	}
	return strings.Join(lacks, ", ")
}
