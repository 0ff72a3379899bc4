package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// needV2 skips in the layouts where exec joins by writing to cgroup.procs.
func needV2(t *testing.T) {
	t.Helper()
	layout, err := harness.CurrentLayout()
	if err != nil {
		t.Fatal(err)
	}
	if layout != harness.V2 {
		t.Skipf("needs a pure cgroup v2 view, this one is %s; TestLayouts runs it in one", layout)
	}
}

// groupOf is the cgroup v2 path of a process.
func groupOf(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(l, "0::"); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no cgroup v2 in %q", data)
	return ""
}

// makeGroup makes a cgroup below the container's in all hierarchies of this view.
func makeGroup(t *testing.T, s *harness.Sandbox, sub string) {
	t.Helper()
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*/" + s.ID)
	if _, err := os.Stat("/sys/fs/cgroup/" + s.ID); err == nil {
		dirs = append(dirs, "/sys/fs/cgroup/"+s.ID)
	}
	made := false
	for _, d := range dirs {
		if fi, err := os.Lstat(filepath.Dir(d)); err != nil || fi.Mode()&os.ModeSymlink != 0 {
			continue // the other name of a hierarchy
		}
		if err := os.MkdirAll(filepath.Join(d, sub), 0o755); err != nil {
			t.Fatal(err)
		}
		// A new one of cpuset v1 takes no process before it has some of both, cpuset(7).
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			at := d
			for dir := range strings.SplitSeq(sub, "/") {
				value, err := os.ReadFile(filepath.Join(at, file))
				if at = filepath.Join(at, dir); err == nil && filepath.Base(filepath.Dir(d)) == "cpuset" {
					write(t, filepath.Join(at, file), string(value))
				}
			}
		}
		made = true
	}
	if !made {
		t.Fatal("the container has no cgroup")
	}
}

func TestExecCgroup(t *testing.T) {
	t.Parallel()
	s := running(t)
	makeGroup(t, s, "sub/deep")
	// Without cgroup namespace trouble: read from outside.
	where := func(flags ...string) string {
		pidFile := filepath.Join(s.Dir, "pid")
		s.Davit(append(append([]string{"exec", "-d", "--pid-file", pidFile}, flags...), s.ID, "/bin/sleep", "1000")...).Succeeds()
		pid := readPID(t, pidFile)
		defer unix.Kill(pid, unix.SIGKILL)
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	count := func(text, group string) int { return strings.Count(text, ":"+group+"\n") }
	own := "/" + s.ID
	hierarchies := count(where(), own)
	if hierarchies == 0 {
		t.Fatalf("without --cgroup the process isn't in %s", own)
	}
	if got := where("--cgroup", "sub"); count(got, own+"/sub") != hierarchies {
		t.Errorf("--cgroup sub: it is in\n%s", got)
	}
	if got := where("--cgroup", "/sub/deep/"); count(got, own+"/sub/deep") != hierarchies {
		t.Errorf("--cgroup /sub/deep/: it is in\n%s", got)
	}
	if layout, _ := harness.CurrentLayout(); layout != harness.V2 {
		if got := where("--cgroup", "memory:sub", "--cgroup", "pids,freezer:sub/deep"); count(got, own+"/sub") != 1 || count(got, own+"/sub/deep") != 2 || count(got, own) != hierarchies-3 {
			t.Errorf("by controller: it is in\n%s", got)
		}
		s.Davit(execLine(s, "true", "--cgroup", "nonsense:sub")...).FailsWith(255, "--cgroup nonsense:sub", "nonsense")
	}
	for _, escape := range []string{"..", "../" + s.ID + "x", "sub/../..", "/../../..", "sub/../../other"} {
		s.Davit(execLine(s, "true", "--cgroup", escape)...).FailsWith(255, "--cgroup "+escape, "is not a sub cgroup path")
	}
	s.Davit(execLine(s, "true", "--cgroup", "missing")...).FailsWith(255, "/missing")
}

// A payload such as systemd keeps its processes in cgroups of its own; then the container's takes none any more.
func TestExecIntoDelegatedCgroup(t *testing.T) {
	t.Parallel()
	needV2(t)
	s := running(t)
	dir := "/sys/fs/cgroup/" + s.ID
	if have, err := os.ReadFile(dir + "/cgroup.controllers"); err != nil || strings.TrimSpace(string(have)) == "" {
		t.Skipf("needs a cgroup v2 controller that is delegated to %s, there is %q (%v)", dir, have, err)
	} else {
		makeGroup(t, s, "payload")
		makeGroup(t, s, "other")
		write(t, dir+"/payload/cgroup.procs", fmt.Sprint(s.PID()))
		write(t, dir+"/cgroup.subtree_control", "+"+strings.Fields(string(have))[0])
	}
	pidFile := filepath.Join(s.Dir, "pid")
	for range 3 {
		s.Davit("exec", "-d", "--pid-file", pidFile, s.ID, "/bin/sleep", "1000").Succeeds()
		pid := readPID(t, pidFile)
		if got := groupOf(t, pid); got != "/"+s.ID+"/payload" {
			t.Errorf("the process is in %s, the container's in %s", got, groupOf(t, s.PID()))
		}
		if own, init := link(t, fmt.Sprintf("/proc/%d/ns/cgroup", pid)), link(t, fmt.Sprintf("/proc/%d/ns/cgroup", s.PID())); own != init {
			t.Errorf("the cgroup namespace is %s, the container's %s", own, init)
		}
	}
	if r := s.Davit(execLine(s, "exit 5")...); r.Code != 5 {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr())
	}
	// Who asks for a cgroup gets that one or an error.
	s.Davit("exec", "-d", "--pid-file", pidFile, "--cgroup", "other", s.ID, "/bin/sleep", "1000").Succeeds()
	if got := groupOf(t, readPID(t, pidFile)); got != "/"+s.ID+"/other" {
		t.Errorf("--cgroup other: the process is in %s", got)
	}
	s.Davit(execLine(s, "true", "--cgroup", "/")...).FailsWith(255, "busy")
	if n := strings.Count(execute(s, "ps -o args"), "sleep 1000"); n != 5 {
		t.Errorf("%d processes run in the container, want 5", n)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

// Limits of a container count for who joins it.
func TestExecIsCounted(t *testing.T) {
	t.Parallel()
	s := running(t, func(s *specs.Spec) { s.Linux.Resources = &specs.LinuxResources{} })
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*/" + s.ID + "/cgroup.procs")
	if len(dirs) == 0 {
		dirs = []string{"/sys/fs/cgroup/" + s.ID + "/cgroup.procs"}
	}
	pidFile := filepath.Join(s.Dir, "pid")
	s.Davit("exec", "-d", "--pid-file", pidFile, s.ID, "/bin/sleep", "1000").Succeeds()
	pid := fmt.Sprintln(readPID(t, pidFile))
	for _, d := range dirs {
		if data, err := os.ReadFile(d); err != nil || !strings.Contains("\n"+string(data), "\n"+pid) {
			t.Errorf("%s has %q, not %s", d, data, pid)
		}
	}
}

func TestLayouts(t *testing.T) {
	harness.InLayout(t, harness.V2, "^(TestExecCgroup|TestExecIntoDelegatedCgroup|TestExecIsCounted|TestExecJoins|TestExecJoinedNamespaces|TestExecIgnorePaused|TestExecStopped|"+
		"TestExecParallel|TestKillAll|TestKillWithoutPIDNamespace|TestExecKilled|TestHookOrder)$")
}
