package lab

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Measure runs a command with all [Runtimes] in turns, so that a change of the
// machine's load meets them all, and adds medians and minima to the results. davit
// has to work; why another one doesn't is added, too.
func (e *Engine) Measure(t *testing.T, command string, run func(runtime string) error) {
	t.Helper()
	timing := Timing{Engine: e.Name, Cgroups: e.Cgroups, Command: command, Rounds: Rounds(), Median: make(map[string]float64), Least: make(map[string]float64), Without: make(map[string]string)}
	for _, r := range Runtimes() {
		if e.Direct(r) == "" {
			timing.Without[r] = "not installed"
		} else if err := run(r); err == nil { // which also warms up
			timing.Order = append(timing.Order, r)
		} else if r == "davit" {
			t.Fatalf("%s: %v", r, err)
		} else {
			timing.Without[r] = reason(err.Error())
		}
	}
	taken := make(map[string][]float64)
	for round := range timing.Rounds {
		for i := range timing.Order {
			r := timing.Order[(i+round)%len(timing.Order)] // what one leaves to the kernel mustn't always slow the same
			start := time.Now()
			if err := run(r); err != nil {
				t.Fatalf("%s, in round %d: %v", r, round, err)
			}
			taken[r] = append(taken[r], float64(time.Since(start).Microseconds())/1000)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	timing.Load, _, _ = strings.Cut(string(load), " ")
	for r, values := range taken {
		slices.Sort(values)
		timing.Median[r], timing.Least[r] = values[len(values)/2], values[0]
	}
	t.Logf("%s, %s: medians %v, least %v, without %v", e.Name, command, timing.Median, timing.Least, timing.Without)
	results.Timings = append(results.Timings, timing)
}

// Rounds is how often to measure: DAVIT_ENGINES_ROUNDS, or 15.
func Rounds() int {
	n := 15
	_, _ = fmt.Sscan(os.Getenv("DAVIT_ENGINES_ROUNDS"), &n)
	return n
}
