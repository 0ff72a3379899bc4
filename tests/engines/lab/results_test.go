package lab

import (
	"flag"
	"path/filepath"
	"slices"
	"testing"
)

func TestResultsOfOneCellAreReplaced(t *testing.T) {
	first := Results{
		Runs:    []Run{{"Docker", V1, "davit 1", "6.1"}, {"Docker", V2, "davit 1", "6.1"}},
		Results: []Result{{Engine: "Docker", Cgroups: V1, Scenario: "run"}, {Engine: "Docker", Cgroups: V2, Scenario: "run"}, {Engine: "Docker", Cgroups: V2, Scenario: "no more"}},
		Timings: []Timing{{Engine: "Docker", Cgroups: V1, Rounds: 1}, {Engine: "Docker", Cgroups: V2, Rounds: 1}},
	}
	first.replace(&Results{
		Runs:    []Run{{"Docker", V2, "davit 2", "6.1"}},
		Results: []Result{{Engine: "Docker", Cgroups: V2, Scenario: "run", Outcome: "pass"}},
		Timings: []Timing{{Engine: "Docker", Cgroups: V2, Rounds: 2}},
	})
	want := []Result{{Engine: "Docker", Cgroups: V1, Scenario: "run"}, {Engine: "Docker", Cgroups: V2, Scenario: "run", Outcome: "pass"}}
	if !slices.Equal(first.Results, want) {
		t.Errorf("results are %v", first.Results)
	}
	if len(first.Runs) != 2 || first.Runs[1].Davit != "davit 2" || len(first.Timings) != 2 || first.Timings[1].Rounds != 2 {
		t.Errorf("runs are %v, timings %v", first.Runs, first.Timings)
	}
}

func TestResultsOfSingleScenariosArentKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	set := func(pattern string) {
		if err := flag.Set("test.run", pattern); err != nil {
			t.Fatal(err)
		}
	}
	before := testFlag("test.run")
	t.Cleanup(func() { set(before) })
	r := Results{Results: []Result{{Engine: "Docker", Cgroups: V2, Scenario: "run"}}}
	for _, c := range []struct {
		pattern string
		kept    int
	}{{"TestDocker/v2/run$", 0}, {"TestDocker/v2$", 1}, {"", 1}} {
		set(c.pattern)
		if err := r.write(path); err != nil {
			t.Fatal(err)
		}
		if now, _ := ReadResults(path); len(now.Results) != c.kept {
			t.Errorf("-run %q keeps %d results", c.pattern, len(now.Results))
		}
	}
}
