package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"davit/tests/harness"
)

// A thousand in a row: none fails, and nothing grows.
func TestExecThousand(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	s, before := crashed(t, []harness.Edit{denyMkdir})
	memory := func() string {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", before.pid))
		if err != nil {
			t.Fatal(err)
		}
		return line(string(status), "VmRSS:") + ", " + line(string(status), "VmData:")
	}
	keys := func() int {
		data, err := os.ReadFile("/proc/keys")
		if err != nil {
			return 0 // a kernel without
		}
		return strings.Count(string(data), "_ses."+s.ID)
	}
	memoryBefore, keysBefore := memory(), keys()
	var took []time.Duration
	for i := range n {
		begin := time.Now()
		if r := s.Davit("exec", s.ID, "/bin/true"); r.Code != 0 {
			t.Fatalf("exec %d: exit code %d: %s", i, r.Code, r.Stderr())
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("%d times exec /bin/true, with the test's own part: median %s, fastest %s, slowest %s", n, took[n/2], took[0], took[n-1])
	untouched(t, s, before, "after all")
	if now := memory(); now != memoryBefore {
		t.Errorf("the process's memory was %s and is %s", memoryBefore, now)
	}
	if now := keys(); now != keysBefore {
		t.Errorf("there were %d session keyrings of the container and are %d", keysBefore, now)
	}
}

// A hundred at once: each gets its own exit code, output and descriptors.
func TestExecParallel(t *testing.T) {
	t.Parallel()
	s, before := crashed(t, nil)
	const n = 100
	results := make([]*harness.Result, n)
	var all sync.WaitGroup
	for i := range n {
		c := s.Command(execLine(s, fmt.Sprintf("echo %d; exit %d", i, i))...)
		c.Begin()
		all.Go(func() { results[i] = c.End() })
	}
	all.Wait()
	for i, r := range results {
		if r.Code != i || r.Stdout() != fmt.Sprintln(i) || r.Stderr() != "" {
			t.Errorf("exec %d: exit code %d, output %q %q", i, r.Code, r.Stdout(), r.Stderr())
		}
	}
	untouched(t, s, before, "after all")
}

// Many write to one terminal socket and join different users at the same time as the container is looked at, paused and resumed.
func TestExecBesideOthers(t *testing.T) {
	t.Parallel()
	s, before := crashed(t, nil)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, line := range [][]string{{"pause", s.ID}, {"state", s.ID}, {"resume", s.ID}, {"ps", "-f", "json", s.ID}, {"list", "-q"}} {
				if r := s.Davit(line...); r.Code != 0 {
					t.Errorf("%v: exit code %d: %s", line, r.Code, r.Stderr())
				}
			}
		}
	})
	for i := range 60 {
		r := s.Davit(execLine(s, "id -u", "--ignore-paused", "-u", fmt.Sprint(i))...)
		if r.Code != 0 || r.Stdout() != fmt.Sprintln(i) {
			t.Errorf("exec %d: exit code %d: %q %s", i, r.Code, r.Stdout(), r.Stderr())
		}
	}
	close(stop)
	others.Wait()
	untouched(t, s, before, "after all")
}

// raceLog makes a davit that was built with the race detector report to files, and fails the test if there are any.
func raceLog(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GORACE", "log_path="+filepath.Join(dir, "race"))
	t.Cleanup(func() {
		reports, _ := filepath.Glob(filepath.Join(dir, "race.*"))
		for _, r := range reports {
			text, _ := os.ReadFile(r)
			t.Errorf("%s", text)
		}
	})
}
