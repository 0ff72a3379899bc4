package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// residentInit is the memory that a created container's waiting init occupies.
func residentInit(e *environment, r *runtime) ([]sample, error) {
	id, pidFile := e.id(), filepath.Join(e.dir, "pid")
	if _, err := e.run(r.args("create", "--bundle", e.bundle("sleep"), "--pid-file", pidFile, id)); err != nil {
		return nil, err
	}
	defer e.run(r.args("delete", "--force", id))
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, err
	}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%s/smaps_rollup", pid))
	if err != nil {
		return nil, err
	}
	var head, perms, offset, device, inode, name, label string
	var kib int
	if _, err := fmt.Sscan(string(rollup), &head, &perms, &offset, &device, &inode, &name, &label, &kib); err != nil || label != "Rss:" {
		return nil, fmt.Errorf("smaps_rollup begins with %q", rollup[:min(len(rollup), 80)])
	}
	return []sample{{value: kib}}, nil
}

// smallestLimit is the lowest memory limit, in steps of 64 KiB, in which /bin/true runs five times out of five.
func smallestLimit(e *environment, r *runtime) ([]sample, error) {
	low, high := 0, 256 // in steps; low fails, high runs
	for high-low > 1 {
		middle := (low + high) / 2
		if e.runsWithin(r, middle*64) {
			high = middle
		} else {
			low = middle
		}
	}
	return []sample{{value: high * 64}}, nil
}

func (e *environment) runsWithin(r *runtime, kib int) bool {
	config := filepath.Join(e.bundle("limited"), "config.json")
	data, err := os.ReadFile(config)
	if err != nil {
		return false
	}
	var s specs.Spec
	if json.Unmarshal(data, &s) != nil {
		return false
	}
	limit := int64(kib) << 10
	s.Linux.Resources.Memory.Limit = &limit
	if data, err = json.Marshal(&s); err != nil || os.WriteFile(config, data, 0o644) != nil {
		return false
	}
	for range 5 {
		id := e.id()
		if _, err := e.run(r.args("run", "--bundle", e.bundle("limited"), id)); err != nil {
			_, _ = e.run(r.args("delete", "--force", id))
			return false
		}
	}
	return true
}
