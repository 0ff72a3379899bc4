package dockercli

import (
	"fmt"
	"slices"
	"testing"

	"davit/tests/engines/lab"
)

// Scenario is one thing that users do on a command line.
type Scenario struct {
	Name   string
	Excuse string // as in [lab.Scenario], for every engine
	Run    func(C)
}

// Common has the scenarios that all engines run.
func Common() []Scenario {
	return slices.Concat(runScenarios, execScenarios, lifeScenarios, limitScenarios, securityScenarios, isolationScenarios, networkScenarios, imageScenarios)
}

// Run runs scenarios with an engine. What its dialect says of scenarios has to
// be of such that are there.
func Run(t *testing.T, e *lab.Engine, d *Dialect, table ...Scenario) {
	known := append(Common(), table...)
	for _, said := range []map[string]string{d.Lacks, d.Excuses} {
		for name := range said {
			if !slices.ContainsFunc(known, func(s Scenario) bool { return s.Name == name }) {
				t.Errorf("the dialect of %s speaks of a scenario %q that isn't there", e.Name, name)
			}
		}
	}
	var scenarios []lab.Scenario
	for _, s := range table {
		scenarios = append(scenarios, s.of(d))
	}
	e.Scenarios(t, scenarios)
}

func (s Scenario) of(d *Dialect) lab.Scenario {
	excuse := s.Excuse
	if words, ok := d.Excuses[s.Name]; ok {
		excuse = words
	}
	return lab.Scenario{Name: s.Name, Excuse: excuse, Run: func(in *lab.S) {
		if why, ok := d.Lacks[s.Name]; ok {
			in.Skipf("%s", why)
		}
		s.Run(C{in, d, Image})
	}}
}

// Measure times a container that does nothing, with the runtimes themselves
// instead of their recorders, which the engine knows as NAME-itself.
func Measure(t *testing.T, e *lab.Engine, d *Dialect, title string, flags ...string) {
	t.Run("how long, "+title, func(t *testing.T) {
		e.Measure(t, title, func(runtime string) error {
			c := C{&lab.S{Engine: e, Runtime: runtime + "-itself", ID: "measured"}, d, Image}
			line := c.RunLine(append(append([]string{"--rm"}, flags...), "--", "/bin/true")...)
			if out := c.Run(line...); out.Code != 0 {
				return fmt.Errorf("%v", out)
			}
			return nil
		})
	})
}
