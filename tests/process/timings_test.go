package process

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"davit/tests/harness"
)

// --timings shows the runtime's phases and the stage's instructions up to the exec, on stderr, in order.
func TestTimingsWaterfall(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo ran; sleep 100"))
	s.WriteConfig()
	shows := func(r *harness.Result, want ...string) {
		t.Helper()
		r.Succeeds()
		rest := r.Stderr()
		for _, w := range want {
			var found bool
			if _, rest, found = strings.Cut(rest, w); !found {
				t.Errorf("%s doesn't show %q, or not in its place:\n%s", strings.Join(r.Args[3:], " "), w, r.Stderr())
			}
		}
	}
	shows(s.Davit("create", "--timings", "--bundle", s.Bundle, s.ID), "start the Go runtime", "load config.json", "compile the plan", "short ones")
	shows(s.Davit("start", s.ID, "--timings"), "start the Go runtime", "until its exec")
	shows(s.Davit("exec", "--timings", s.ID, "/bin/true"), "load the configuration", "compile the plan", "stage  exec")
	c := s.Command("exec", s.ID, "/bin/true")
	c.Env = append(os.Environ(), "DAVIT_TIMINGS=1")
	shows(c.Do(), "load the configuration", "stage  exec")
	if r := s.Davit("exec", s.ID, "/bin/true"); r.Stderr() != "" {
		t.Errorf("without --timings stderr has %q", r.Stderr())
	}
	s.Davit("exec", "--timings", s.ID, "/nonexistent").FailsWith(255, "/nonexistent")
	s.Davit("delete", "--force", s.ID).Succeeds()
}

// --timings=FILE has every instruction of the plan, none before the one in front of it, in the trace event format.
func TestTimingsTrace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("true"))
	s.WriteConfig()
	file := s.Path("trace.json")
	s.Davit("run", "--timings="+file, "--bundle", s.Bundle, s.ID).Succeeds()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name     string
			Ph       string
			Tid      int
			Ts, Took float64
			Dur      float64
		}
	}
	if err := json.Unmarshal(data, &trace); err != nil {
		t.Fatal(err)
	}
	var stage []string
	end := 0.0
	for _, e := range trace.TraceEvents {
		if e.Ph != "X" || e.Tid != 1 {
			continue
		}
		if e.Ts < end-0.01 {
			t.Errorf("%s begins at %f µs, before %f", e.Name, e.Ts, end)
		}
		end = e.Ts + e.Dur
		stage = append(stage, strings.Fields(e.Name)[0])
	}
	for _, line := range strings.Split(s.Davit("explain", "--bundle", s.Bundle).Stdout(), "\n") {
		for _, word := range []string{"clone", "pivot", "mount", "capabilities"} {
			if strings.Contains(line, " "+word+" ") && !slices.Contains(stage, word) {
				t.Errorf("the trace lacks %s: %q", word, stage)
			}
		}
	}
	if len(stage) < 20 || stage[len(stage)-1] != "exec" {
		t.Errorf("the stage's instructions are %q", stage)
	}
}
