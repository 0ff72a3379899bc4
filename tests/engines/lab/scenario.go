package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Engine is one that runs in a cell.
type Engine struct {
	*Cell
	Name       string   // with its version: "docker 20.10.24"
	StateRoots []string // directories, or patterns of them, where runtimes keep the state of this engine's containers
	Keeps      []string // ends of the names of mounts, cgroups and processes that may stay between scenarios
	Log        func() string

	begun int // scenarios
}

// Scenario is one thing that users do with an engine.
type Scenario struct {
	Name   string
	Run    func(*S)
	Excuse string // why this machine may refuse it to every runtime; see the package's documentation
	Beside bool   // other runtimes take part on purpose
}

// S is a scenario that runs.
type S struct {
	*Engine
	Runtime string // the one to give to the engine: davit, or runc to see whether it fails as well
	ID      string // names what the scenario makes

	t       *testing.T
	cleanup []func()
}

type failure string

type skip string

// Fatalf ends the scenario.
func (s *S) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Skipf ends the scenario with a reason for which it can't be run here.
func (s *S) Skipf(format string, args ...any) { panic(skip(fmt.Sprintf(format, args...))) }

// Logf is for the reader of a failure.
func (s *S) Logf(format string, args ...any) { s.t.Logf(format, args...) }

// Cleanup is done at the scenario's end, the last one first.
func (s *S) Cleanup(f func()) { s.cleanup = append(s.cleanup, f) }

// Binary is the path of the runtime to give to the engine.
func (s *S) Binary() string { return s.Recorder(s.Runtime) }

// Must runs a command in the cell that has to succeed, and returns its stdout.
func (s *S) Must(args ...string) string { return s.Want(0, args...).Out() }

// Want runs a command in the cell that has to have this exit status.
func (s *S) Want(code int, args ...string) Output {
	out := s.Run(args...)
	if out.Code != code {
		s.Fatalf("expected exit status %d: %v", code, out)
	}
	return out
}

// Equal expects a value.
func (s *S) Equal(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Fatalf("%s is %q, expected %q", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

// Contains expects a text to have all these parts.
func (s *S) Contains(what, text string, parts ...string) {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			s.Fatalf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

// Eventually waits for a condition.
func (s *S) Eventually(what string, condition func() bool) {
	if !Wait(condition) {
		s.Fatalf("not within %v: %s", Patience, what)
	}
}

// NoResource is the excuse for what the kernel allows with CAP_SYS_RESOURCE alone.
const NoResource = "root lacks CAP_SYS_RESOURCE on this machine"

// Scenarios runs a table of them, each with a look at what it left.
func (e *Engine) Scenarios(t *testing.T, table []Scenario) {
	for _, sc := range table {
		t.Run(strings.ReplaceAll(sc.Name, " ", "_"), func(t *testing.T) {
			result := Result{Engine: e.Name, Cgroups: e.Cgroups, Scenario: sc.Name, Outcome: "pass"}
			// Whatever happens, a scenario that was begun is in the table.
			defer func() { results.Results = append(results.Results, result) }()
			e.begun++
			id := fmt.Sprintf("s%d", e.begun)
			err, skipped := e.attempt(t, sc, "davit", id)
			if err != "" && sc.Excuse != "" {
				if other, _ := e.attempt(t, sc, "runc", id+"r"); other != "" {
					skipped, err = excused(sc.Excuse, reason(err), reason(other)), ""
				}
			}
			switch {
			case err != "":
				result.Outcome, result.Reason = "fail", reason(err)
				if e.Log != nil {
					t.Logf("the engine's log ends so:\n%s", e.Log())
				}
				t.Error(err)
			case skipped != "":
				result.Outcome, result.Reason = "skip", skipped
				t.Skip(skipped)
			}
		})
	}
}

// excused words the skip of a scenario that this machine refuses to every runtime.
func excused(why, davit, runc string) string {
	if davit == runc {
		return fmt.Sprintf("%s; davit and runc: %s", why, davit)
	}
	return fmt.Sprintf("%s; davit: %s; runc: %s", why, davit, runc)
}

// attempt runs a scenario with one runtime, and returns why it failed or was skipped.
func (e *Engine) attempt(t *testing.T, sc Scenario, runtime, id string) (failed, skipped string) {
	s := &S{Engine: e, Runtime: runtime, ID: id, t: t}
	before, called := e.left(e.StateRoots), len(e.Calls())
	failed, skipped = s.guard(func() { sc.Run(s) })
	for _, f := range slices.Backward(s.cleanup) {
		if why, _ := s.guard(f); why != "" && failed == "" {
			failed = "cleanup: " + why
		}
	}
	if runtime != "davit" || failed != "" || skipped != "" {
		e.settle(before)
		return failed, skipped
	}
	if diff := e.settle(before); diff != "" {
		return "this was left:\n" + diff, ""
	}
	return proof(e.Calls()[called:], sc.Beside), ""
}

func (s *S) guard(f func()) (failed, skipped string) {
	defer func() {
		switch why := recover().(type) {
		case nil:
		case failure:
			failed = string(why)
		case skip:
			skipped = string(why)
		default:
			panic(why)
		}
	}()
	f()
	return "", ""
}

// settle waits, for some seconds, until the cell is as it was, and tells what isn't.
func (e *Engine) settle(before listing) string {
	var diff string
	for range 100 {
		now := e.left(e.StateRoots)
		for _, l := range []listing{before, now} {
			for k := range l {
				if slices.ContainsFunc(e.Keeps, func(end string) bool { return strings.HasSuffix(k[1], end) }) {
					delete(l, k)
				}
			}
		}
		if diff = before.diff(now); diff == "" {
			return ""
		}
		time.Sleep(50 * time.Millisecond)
	}
	return diff
}
