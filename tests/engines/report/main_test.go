package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davit/tests/engines/lab"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, r lab.Results) {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const engine, why = "Docker 20", "a <reason> | of the machine"
	of := func(cgroups lab.Cgroups, scenario, outcome, reason string) lab.Result {
		return lab.Result{Engine: engine, Cgroups: cgroups, Scenario: scenario, Outcome: outcome, Reason: reason}
	}
	save("docker.json", lab.Results{
		Runs:    []lab.Run{{Engine: engine, Cgroups: lab.V2, Davit: "davit 2", Kernel: "6.1"}, {Engine: engine, Cgroups: lab.Hybrid, Davit: "davit 2", Kernel: "6.1"}},
		Results: []lab.Result{of(lab.V2, "run", "pass", ""), of(lab.V2, "exec", "skip", why), of(lab.Hybrid, "run", "skip", why), of(lab.Hybrid, "exec", "fail", "another")},
		Timings: []lab.Timing{{Engine: engine, Cgroups: lab.V2, Command: "docker run", Rounds: 3, Load: "0.5",
			Median: map[string]float64{"davit": 10.4, "runc": 20}, Least: map[string]float64{"davit": 9, "runc": 18}, Without: map[string]string{"crun": "not installed"}}},
	})
	page := func() string {
		var b strings.Builder
		if err := report(&b, dir); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, want := range []string{
		"All by davit 2 on Linux 6.1.\n",
		"| `docker run` | Docker 20 | v2 | 0.5 | 3 | 10 (9) | 20 (18) | – [1] |\n\n[1] crun: not installed\n",
		"1 pass, 1 fail, 2 skip\n",
		"| scenario | hybrid | v2 |\n|---|---|---|\n| run | skip [1] | pass |\n| exec | fail [2] | skip [1] |\n\n[1] a &lt;reason> \\| of the machine\n\n[2] another\n",
	} {
		if !strings.Contains(page(), want) {
			t.Errorf("the page lacks\n%s\n\n%s", want, page())
		}
	}
	save("podman.json", lab.Results{Runs: []lab.Run{{Engine: "Podman 4", Cgroups: lab.V1, Davit: "davit 1", Kernel: "6.1"}}})
	if !strings.Contains(page(), "Not all by one davit:\n- davit 2 on Linux 6.1: Docker 20 (hybrid); Docker 20 (v2)\n- davit 1 on Linux 6.1: Podman 4 (v1)\n") {
		t.Errorf("the page doesn't tell of two versions:\n%s", page())
	}
}
