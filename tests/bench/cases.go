package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchCase is a line of the table, or several that are measured together.
type benchCase struct {
	name   string
	view   string
	unit   string                // "" for time in milliseconds
	goal   string                // what davit sets out to reach
	rows   []string              // names of the samples of a round; nil for one that bears the case's name
	rounds func(short int) int   // from those of the short cases
	knows  func(r *runtime) bool // nil for all but the floor
	before func(e *environment, r *runtime) error
	once   func(e *environment, r *runtime) ([]sample, error)
	after  func(e *environment, r *runtime)
}

func everyRound(n int) int { return n }
func someRounds(n int) int { return max(n/10, 3) }
func oneRound(int) int     { return 1 }

func isRuntime(r *runtime) bool { return r.name != "floor" }
func isAny(*runtime) bool       { return true }

func cases() []benchCase {
	return []benchCase{
		{name: "run, default spec", view: "v2", goal: "≤ 0.6 crun, ≤ 2.5 floor", rounds: everyRound, knows: isAny, once: runBundle("true")},
		{name: "run, Docker's spec with seccomp", view: "v2", goal: "≤ 0.6 crun", rounds: everyRound, knows: isRuntime, once: runBundle("docker")},
		{name: "run, with a terminal", view: "v2", rounds: everyRound, knows: isRuntime, once: runTerminal},
		{name: "run, 100 bind mounts", view: "v2", rounds: everyRound, knows: isRuntime, once: runBundle("binds")},
		{name: "run, host's hierarchy", view: "host", goal: "≤ 0.4 runc", rounds: everyRound, knows: isRuntime, once: runBundle("true")},
		{name: "exec", view: "v2", goal: "≤ 0.6 crun", rounds: everyRound, knows: isRuntime, before: startSleeper, once: execTrue, after: deleteSleeper},
		{name: "life", view: "v2", goal: "≤ 0.8 crun", rows: []string{"create", "start", "state", "kill", "delete", "create+start+delete"},
			rounds: everyRound, knows: isRuntime, once: life},
		{name: "delete -f, running", view: "v2", goal: "≤ 1 crun", rounds: everyRound, knows: isRuntime, once: deleteForce},
		{name: "--version", view: "v2", rounds: everyRound, knows: isRuntime, once: version},
		{name: "list, 100 containers", view: "v2", goal: "≤ 1 crun", rounds: everyRound, knows: isRuntime,
			before: createMany(100), once: list, after: deleteMany},
		{name: "50 parallel runs", view: "v2", goal: "≤ 0.6 crun", rounds: someRounds, knows: isRuntime, once: parallel},
		{name: "200 lives", view: "v2", rounds: oneRound, knows: isRuntime, once: lives},
		{name: "run, among 1000 containers", view: "v2", rounds: everyRound, knows: isOurs,
			before: createMany(1000), once: runBundle("true"), after: deleteMany},
		{name: "scale", view: "v2", rows: scaleRows, rounds: oneRound, knows: isOurs, once: scale},
		{name: "resident memory of a created init", view: "v2", unit: "KiB", goal: "≤ 614", rounds: oneRound, knows: isRuntime, once: residentInit},
		{name: "smallest memory limit", view: "v1", unit: "KiB", goal: "≤ 256", rounds: oneRound, knows: isRuntime, once: smallestLimit},
	}
}

// isOurs keeps cases short that would take the peers minutes and gigabytes to prepare.
func isOurs(r *runtime) bool { return r.name == "davit" || r.name == "base" }

func one(s sample, err error) ([]sample, error) { return []sample{s}, err }

func runBundle(bundle string) func(e *environment, r *runtime) ([]sample, error) {
	return func(e *environment, r *runtime) ([]sample, error) {
		if r.name == "floor" {
			return one(e.run([]string{r.path, e.dir, e.id()}))
		}
		return one(e.run(r.args("run", "--bundle", e.bundle(bundle), e.id())))
	}
}

func runTerminal(e *environment, r *runtime) ([]sample, error) {
	return one(e.runAtTerminal(r.args("run", "--bundle", e.bundle("terminal"), e.id())))
}

func startSleeper(e *environment, r *runtime) error {
	_, err := e.run(r.args("run", "--detach", "--bundle", e.bundle("sleep"), sleeper(r)))
	return err
}

func sleeper(r *runtime) string { return fmt.Sprintf("davit-bench-%d-sleeper-%s", os.Getpid(), r.name) }

func deleteSleeper(e *environment, r *runtime) {
	_, _ = e.run(r.args("delete", "--force", sleeper(r)))
}

func execTrue(e *environment, r *runtime) ([]sample, error) {
	return one(e.run(r.args("exec", sleeper(r), "/bin/true")))
}

// life measures a container's commands one by one.
func life(e *environment, r *runtime) ([]sample, error) {
	id, pidFile := e.id(), filepath.Join(e.dir, "pid")
	var samples []sample
	for _, args := range [][]string{
		{"create", "--bundle", e.bundle("sleep"), "--pid-file", pidFile, id}, {"start", id}, {"state", id}, {"kill", id, "KILL"}, {"delete", id},
	} {
		if args[0] == "delete" {
			if err := ended(pidFile); err != nil {
				return nil, err
			}
		}
		s, err := e.run(r.args(args...))
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	var sum sample
	for _, i := range []int{0, 1, 4} {
		sum.wall += samples[i].wall
		sum.cpu += samples[i].cpu
		sum.peak = max(sum.peak, samples[i].peak)
	}
	return append(samples, sum), nil
}

func deleteForce(e *environment, r *runtime) ([]sample, error) {
	if err := startSleeper(e, r); err != nil {
		return nil, err
	}
	return one(e.run(r.args("delete", "--force", sleeper(r))))
}

func version(e *environment, r *runtime) ([]sample, error) {
	return one(e.run([]string{r.path, "--version"}))
}

func manyID(i int) string { return fmt.Sprintf("davit-bench-%d-many-%d", os.Getpid(), i) }

func createMany(n int) func(e *environment, r *runtime) error {
	return func(e *environment, r *runtime) error {
		for i := range n {
			if _, err := e.run(r.args("create", "--bundle", e.bundle("sleep"), r.name+manyID(i))); err != nil {
				return err
			}
		}
		return nil
	}
}

func deleteMany(e *environment, r *runtime) {
	entries, _ := os.ReadDir(r.root)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), r.name+"davit-bench-") {
			_, _ = e.run(r.args("delete", "--force", entry.Name()))
		}
	}
}

func list(e *environment, r *runtime) ([]sample, error) { return one(e.run(r.args("list"))) }

func parallel(e *environment, r *runtime) ([]sample, error) {
	programs := make([][]string, 50)
	for i := range programs {
		programs[i] = r.args("run", "--bundle", e.bundle("true"), e.id())
	}
	return one(e.together(programs))
}

func lives(e *environment, r *runtime) ([]sample, error) {
	var sum sample
	for range 200 {
		s, err := life(e, r)
		if err != nil {
			return nil, err
		}
		for _, step := range s[:5] {
			sum.wall += step.wall
			sum.cpu += step.cpu
		}
	}
	return []sample{sum}, nil
}
