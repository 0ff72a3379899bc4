package process

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// insideBinary builds the program that is run in containers, once.
var insideBinary = sync.OnceValues(func() (string, error) { return harness.Program("tests/process/inside") })

// installInside puts the program into the rootfs as /inside.
func installInside(s *harness.Sandbox) {
	s.T.Helper()
	path, err := insideBinary()
	if err != nil {
		s.T.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		s.T.Fatal(err)
	}
	s.WriteFile("/inside", string(data), 0o755)
}

// running makes a sandbox whose container runs until the test's end.
func running(t *testing.T, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	s := harness.New(t, append([]harness.Edit{harness.Args("/bin/sleep", "1000")}, edits...)...)
	start(s)
	t.Cleanup(s.Delete)
	return s
}

// start creates and starts the sandbox's container.
func start(s *harness.Sandbox) {
	s.T.Helper()
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
}

// execute is `davit exec FLAGS ID sh -c SCRIPT`, which has to succeed; it returns the output.
func execute(s *harness.Sandbox, script string, flags ...string) string {
	s.T.Helper()
	r := s.Davit(execLine(s, script, flags...)...)
	r.Succeeds()
	return r.Stdout()
}

func execLine(s *harness.Sandbox, script string, flags ...string) []string {
	return append(append([]string{"exec"}, flags...), s.ID, "/bin/sh", "-c", script)
}

// processFile writes a process object: the configuration's, edited, running a script.
func processFile(s *harness.Sandbox, script string, edit func(*specs.Process)) string {
	s.T.Helper()
	p := *s.Spec.Process
	p.Args = []string{"/bin/sh", "-c", script}
	if edit != nil {
		edit(&p)
	}
	data, err := json.Marshal(&p)
	if err != nil {
		s.T.Fatal(err)
	}
	f, err := os.CreateTemp(s.Dir, "process-*.json")
	if err != nil {
		s.T.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		s.T.Fatal(err)
	}
	return f.Name()
}

// fields joins what a program printed by single spaces.
func fields(text string) string { return strings.Join(strings.Fields(text), " ") }

func link(t *testing.T, path string) string {
	t.Helper()
	to, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// descriptors lists the open ones of a process, as the host sees them.
func descriptors(t *testing.T, pid int) string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// readPID waits for a pid file.
func readPID(t *testing.T, path string) int {
	t.Helper()
	pid := 0
	harness.Eventually(t, "the pid file "+path, func() bool {
		data, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		_, err = fmt.Sscan(string(data), &pid)
		if err != nil || strings.TrimSpace(string(data)) != string(data) {
			t.Fatalf("the pid file has %q", data)
		}
		return true
	})
	return pid
}

// childrenOf lists the processes whose parent is pid, zombies too.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	var found []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // gone
		}
		rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
		if f := strings.Fields(rest); len(f) > 1 && f[1] == fmt.Sprint(pid) {
			found = append(found, strings.TrimSpace(string(data)))
		}
	}
	return found
}

// command runs a program of the host.
func command(line ...string) (string, error) {
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	return string(out), err
}
