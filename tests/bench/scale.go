package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// scaleRows are what scale measures, in its order.
var scaleRows = []string{"scale: create, first 100", "scale: create, last 100", "scale: start, first 100", "scale: start, last 100",
	"scale: state, all", "scale: list, all", "scale: delete -f, first 100", "scale: delete -f, last 100"}

const scaleOf = 1000

// scale has a thousand containers run at once, and tells whether the last
// hundred took longer than the first. What they cost while they idle goes to stderr.
func scale(e *environment, r *runtime) ([]sample, error) {
	id := func(i int) string { return r.name + manyID(i) }
	defer deleteMany(e, r)
	free, before := memAvailable(), leftovers()
	var rows []sample
	each := func(args ...string) ([]sample, error) {
		all := make([]sample, scaleOf)
		for i := range all {
			var err error
			if all[i], err = e.run(r.args(append(args, id(i))...)); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	for _, args := range [][]string{{"create", "--bundle", e.bundle("sleep")}, {"start"}} {
		all, err := each(args...)
		if err != nil {
			return nil, err
		}
		rows = append(rows, middle(all[:100]), middle(all[scaleOf-100:]))
	}
	time.Sleep(time.Second) // the kernel counts memory in batches
	fmt.Fprintf(os.Stderr, "%s: %d containers with a sleep each take %d KiB each of the host's memory; %d processes of the runtime are left running\n",
		r.name, scaleOf, (free-memAvailable())/scaleOf, processesOf(r.path))
	states, err := each("state")
	if err != nil {
		return nil, err
	}
	listed, err := e.run(r.args("list"))
	if err != nil {
		return nil, err
	}
	rows = append(rows, middle(states), listed)
	deleted, err := each("delete", "--force")
	if err != nil {
		return nil, err
	}
	rows = append(rows, middle(deleted[:100]), middle(deleted[scaleOf-100:]))
	if after := leftovers(); after != before {
		return nil, fmt.Errorf("left behind: cgroups and mounts were %v, are %v", before, after)
	}
	return rows, nil
}

// middle is the sample of the median time.
func middle(all []sample) sample {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b sample) int { return int(a.wall - b.wall) })
	return sorted[len(sorted)/2]
}

// memAvailable is the host's available memory in KiB.
func memAvailable() int {
	var n int
	data, _ := os.ReadFile("/proc/meminfo")
	if _, rest, ok := strings.Cut(string(data), "MemAvailable:"); ok {
		_, _ = fmt.Sscan(rest, &n)
	}
	return n
}

// leftovers counts what containers must not leave behind: cgroups of davit's and mounts.
func leftovers() [2]int {
	var n [2]int
	groups, _ := os.ReadDir("/sys/fs/cgroup")
	for _, g := range groups {
		if strings.Contains(g.Name(), "davit-bench-") {
			n[0]++
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	n[1] = strings.Count(string(mounts), "\n")
	return n
}

// processesOf counts the processes that execute a program.
func processesOf(path string) int {
	n := 0
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if exe, err := os.Readlink("/proc/" + entry.Name() + "/exe"); err == nil && exe == path {
			n++
		}
	}
	return n
}
