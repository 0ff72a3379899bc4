package process

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// pids are the processes in the container, as davit counts them.
func pids(s *harness.Sandbox) []int {
	s.T.Helper()
	r := s.Davit("ps", "-f", "json", s.ID)
	r.Succeeds()
	var list []int
	if err := json.Unmarshal([]byte(r.Stdout()), &list); err != nil {
		s.T.Fatal(err)
	}
	return list
}

// footprint is what an exec must leave as it was.
type footprint struct {
	pid     int
	status  specs.ContainerState
	files   []string // in the state directory
	mounts  string   // in the container
	open    string   // descriptors of its process
	threads string
}

func footprintOf(t *testing.T, s *harness.Sandbox) footprint {
	t.Helper()
	st := s.State()
	f := footprint{pid: st.Pid, status: st.Status, open: descriptors(t, st.Pid)}
	err := filepath.WalkDir(filepath.Join(s.Root, s.ID), func(path string, _ os.DirEntry, err error) error {
		f.files = append(f.files, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", st.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f.mounts = string(mounts)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", st.Pid))
	if err != nil {
		t.Fatal(err)
	}
	f.threads = line(string(status), "Threads:")
	return f
}

// untouched fails the test unless the container is as it was before, and usable.
func untouched(t *testing.T, s *harness.Sandbox, before footprint, what string) {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for list := pids(s); !slices.Equal(list, []int{before.pid}); list = pids(s) {
		if time.Now().After(end) {
			t.Fatalf("%s: in the container are the processes %v, want %d only", what, list, before.pid)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if now := footprintOf(t, s); fmt.Sprintf("%+v", now) != fmt.Sprintf("%+v", before) {
		t.Fatalf("%s: the container was\n%+v\nand is\n%+v", what, before, now)
	}
	if kids := childrenOf(t, before.pid); len(kids) != 0 {
		t.Fatalf("%s: the container's process has got children: %v", what, kids)
	}
	if r := s.Davit("exec", s.ID, "/bin/true"); r.Code != 0 {
		t.Fatalf("%s: the next exec fails with %d: %s", what, r.Code, r.Stderr())
	}
}

var crashShapes = map[string][]harness.Edit{
	"usual":                    nil,
	"user namespace, seccomp":  {harness.UserNamespace(100000, 65536), denyMkdir},
	"host's PID namespace too": {harness.WithoutNamespace(specs.PIDNamespace)},
}

func crashed(t *testing.T, edits []harness.Edit) (*harness.Sandbox, footprint) {
	t.Helper()
	s := harness.New(t, append([]harness.Edit{harness.Args("/bin/sleep", "1000")}, edits...)...)
	if s.Spec.Linux.UIDMappings != nil {
		if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
			t.Fatal(err)
		}
	}
	start(s)
	t.Cleanup(s.Delete)
	execute(s, "true") // what the first one makes, such as a cache, is there
	return s, footprintOf(t, s)
}

// davit is killed after ever longer times: the container doesn't notice.
func TestExecKilled(t *testing.T) {
	t.Parallel()
	for name, edits := range crashShapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, before := crashed(t, edits)
			step, killed := 250*time.Microsecond, 0
			for delay := time.Duration(0); delay < 12*time.Millisecond; delay += step {
				c := s.Command("exec", s.ID, "/bin/true")
				c.Begin()
				time.Sleep(delay)
				_ = c.Process.Signal(unix.SIGKILL)
				if r := c.End(); r.Code == 137 {
					killed++
				} else if r.Code != 0 {
					t.Fatalf("after %s: exit code %d: %s", delay, r.Code, r.Stderr())
				}
				untouched(t, s, before, fmt.Sprintf("killed after %s", delay))
			}
			if killed == 0 {
				t.Error("no davit was killed in time")
			}
		})
	}
}

// Whoever makes the Nth system call is killed, davit or the stage: no step is left out.
func TestExecKilledAtCall(t *testing.T) {
	t.Parallel()
	strace := harness.NeedTool(t, "strace", "strace")
	s, before := crashed(t, crashShapes["user namespace, seccomp"])
	step := 5
	if testing.Short() {
		step = 29
	}
	codes := make(map[int]int)
	for n := 1; n < 2000; n += step {
		s.Prefix = []string{strace, "-f", "-o", "/dev/null", "-e", fmt.Sprintf("inject=all:signal=SIGKILL:when=%d", n)}
		r := s.Davit("exec", s.ID, "/bin/true")
		s.Prefix = nil
		codes[r.Code]++
		switch r.Code {
		case 0, 137:
		case 255:
			if !strings.Contains(r.Stderr(), "exec failed: ") {
				t.Errorf("call %d: %s", n, r.Stderr())
			}
		default:
			t.Errorf("call %d: exit code %d: %s", n, r.Code, r.Stderr())
		}
		untouched(t, s, before, fmt.Sprintf("killed at call %d", n))
		if r.Code == 0 {
			break // beyond the last one
		}
	}
	t.Logf("exit codes: %v", codes)
	if codes[137] < 3 || codes[0] == 0 {
		t.Errorf("the exit codes are %v", codes)
	}
}

// The process goes on where davit is killed in the foreground later: that is a process of the container's.
func TestExecKilledLater(t *testing.T) {
	t.Parallel()
	s, before := crashed(t, nil)
	pidFile := filepath.Join(s.Dir, "pid")
	c := s.Command(execLine(s, "echo ready; exec sleep 1000", "--pid-file", pidFile)...)
	c.Begin()
	c.Written("ready")
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.End()
	pid := readPID(t, pidFile)
	if list := pids(s); !slices.Contains(list, pid) {
		t.Errorf("in the container are %v, not %d", list, pid)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	untouched(t, s, before, "killed while its process ran")
}
