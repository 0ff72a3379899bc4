// Package budget keeps davit fast by counting, not by a clock: the system
// calls of a command and of its stage, the size of the stage, the package
// initializers at each start, and the allocations from config.json to a plan
// are compared with the numbers in budget.json. What raises one of them has to
// raise the number in the same commit, where a reader sees it
// (DAVIT_BUDGET_UPDATE=1 go test ./tests/budget).
package budget

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"davit/cgroups"
	"davit/libcontainer/bundle"
	"davit/libcontainer/plan"
	"davit/nsenter"
	"davit/tests/harness"
)

// update writes budget.json anew. A variable of the environment reaches the process that runs in another layout, too.
var update = os.Getenv("DAVIT_BUDGET_UPDATE") != ""

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// slack is how much more than the budget is no reason to worry: the Go runtime
// doesn't do the same each time, and a longer mount table is read in more pieces.
func slack(budget int) int { return max(1, budget/250) }

// check compares what was counted under a name with the budget.
func check(t *testing.T, name string, counted int) {
	t.Helper()
	const file = "budget.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	budget := map[string]int{}
	if err := json.Unmarshal(data, &budget); err != nil {
		t.Fatal(err)
	}
	if update {
		budget[name] = counted
		if data, err = json.MarshalIndent(budget, "", "\t"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, ok := budget[name]
	switch {
	case !ok:
		t.Errorf("%s: %d, and %s has no number for it", name, counted, file)
	case counted > want+slack(want):
		t.Errorf("%s: %d, more than the budget of %d", name, counted, want)
	case counted < want-2*slack(want):
		t.Logf("%s: %d, well below the budget of %d: DAVIT_BUDGET_UPDATE=1 go test ./tests/budget keeps it there", name, counted, want)
	}
}

func TestSizeOfTheStage(t *testing.T) {
	if nsenter.StageSize() == 0 {
		t.Skip("this test was built without a stage: make davit builds it")
	}
	check(t, "stage bytes", nsenter.StageSize())
}

func TestInitializers(t *testing.T) {
	cmd := exec.Command(harness.Binary(t), "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	check(t, "package initializers", strings.Count(string(out), "\ninit ")+1)
}

// configured makes a sandbox whose process needs nothing that would be counted with davit's.
func configured(t *testing.T) *harness.Sandbox {
	s := harness.New(t, harness.Args("/bin/true"))
	s.WriteConfig()
	return s
}

func TestAllocations(t *testing.T) {
	s := configured(t)
	facts := plan.Facts{Capabilities: 1<<41 - 1, LastCap: 40, Cgroups: &cgroups.Layout{Mode: cgroups.V2, Unified: "/sys/fs/cgroup"}, IntoCgroup: true}
	check(t, "allocations of load and compile", int(testing.AllocsPerRun(20, func() {
		b, err := bundle.Load(s.Bundle)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Compile(&plan.Input{ID: "x", Spec: b.Spec, Bundle: b.Dir, Rootfs: b.Rootfs, Facts: facts})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.World.Encode(); err != nil {
			t.Fatal(err)
		}
	})))
}

func TestSystemCalls(t *testing.T) {
	if layout, err := harness.CurrentLayout(); err != nil {
		t.Fatal(err)
	} else if layout != harness.V2 {
		// The counts are those of one layout.
		harness.InLayout(t, harness.V2, "^TestSystemCalls$")
		return
	}
	strace := harness.NeedTool(t, "strace", "strace")
	s := configured(t)
	count(t, s, strace, "run", "--bundle", s.Bundle, s.ID)
	s.Edit(harness.Args("/bin/sleep", "1000"))
	s.WriteConfig()
	s.Davit("run", "--detach", "--bundle", s.Bundle, s.ID).Succeeds()
	count(t, s, strace, "exec", s.ID, "/bin/true")
	count(t, s, strace, "state", s.ID)
	s.Davit("delete", "--force", s.ID).Succeeds()
}

// count counts the least system calls of a command in a few rounds, davit's and its stage's.
func count(t *testing.T, s *harness.Sandbox, strace string, args ...string) {
	t.Helper()
	least := map[string]int{}
	for range 5 {
		trace := filepath.Join(s.Dir, "trace")
		s.Prefix = []string{strace, "-f", "-qq", "--signal=none", "-o", trace}
		s.Davit(args...).Succeeds()
		s.Prefix = nil
		data, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		for who, n := range attribute(string(data)) {
			if old, ok := least[who]; !ok || n < old {
				least[who] = n
			}
		}
	}
	for _, who := range slices.Sorted(maps.Keys(least)) {
		if least[who] > 0 {
			check(t, fmt.Sprintf("%s: %s", args[0], who), least[who])
		}
	}
}

// What the Go runtime does for itself, now more often and now less.
var goRuntime = regexp.MustCompile(`^(futex|nanosleep|sched_yield|madvise|mmap|munmap|mprotect|rt_sig\w+|sigaltstack|gettid|getpid|tgkill|clone3?|exit|epoll_\w+|brk)$`)

var (
	call    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.*= (\d+)$`)
	result  = regexp.MustCompile(`= (\d+)$`)
)

// attribute counts the calls of a trace: davit's, the stage's up to its exec, and davit's threads.
func attribute(trace string) map[string]int {
	n := map[string]int{"calls of davit": 0, "calls of the stage": 0, "threads": 0}
	stages, executed := map[string]bool{}, map[string]bool{}
	lines := strings.Split(trace, "\n")
	// The stage's processes first: the one that is executed from a memfd, and what it clones.
	for _, line := range lines {
		if m := call.FindStringSubmatch(line); m != nil && m[2] == "execveat" {
			stages[m[1]] = true
		}
	}
	for _, line := range lines {
		m := call.FindStringSubmatch(line)
		r := resumed.FindStringSubmatch(line)
		switch {
		case m != nil && m[2] == "clone3" && stages[m[1]]:
			if pid := result.FindStringSubmatch(line); pid != nil {
				stages[pid[1]] = true
			}
		case r != nil && r[2] == "clone3" && stages[r[1]]:
			stages[r[3]] = true
		}
	}
	for _, line := range lines {
		m := call.FindStringSubmatch(line)
		switch {
		case m == nil || executed[m[1]]:
		case stages[m[1]]:
			n["calls of the stage"]++
			executed[m[1]] = m[2] == "execve"
		case m[2] == "clone" && strings.Contains(m[3], "CLONE_THREAD"):
			n["threads"]++
		case !goRuntime.MatchString(m[2]):
			n["calls of davit"]++
		}
	}
	return n
}
