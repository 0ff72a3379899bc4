package cgroups

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// previous is a file's value from before an update.
type previous struct {
	write Write
	value string
}

func (m *manager) Set(res *specs.LinuxResources) error {
	return m.set(res, nil)
}

// set changes limits. Where systemd keeps them too it is told first, by announce, what changes,
// and all lines of a version 1 devices cgroup if one does. announce may be nil.
func (m *manager) set(res *specs.LinuxResources, announce func(changes, devices []Write) error) error {
	if res == nil {
		return nil
	}
	res, err := m.complete(res)
	if err != nil {
		return err
	}
	writes, warnings, err := Batch(res, m.layout(), m.cfg.OCIVersion)
	if err != nil {
		return err
	}
	m.warn(warnings)
	if err := m.checkUsage(res); err != nil {
		return err
	}
	lines := deviceLines(writes)
	writes, devices, err := m.planDevices(writes, res.Devices)
	if err != nil {
		return err
	}
	if len(devices.change.Lines) == 0 {
		lines = nil
	}
	changes, old := m.differences(writes)
	left := changes
	if announce != nil {
		if err := announce(changes, lines); err != nil {
			return err
		}
		left, _ = m.differences(changes)
	}
	_, err = m.apply(left)
	if err == nil {
		err = devices.apply()
	}
	if err == nil {
		err = m.attachDevices(res.Devices, false)
	}
	if err != nil {
		if announce != nil {
			_ = announce(before(old), nil)
		}
		m.restore(changes, old)
	}
	return err
}

// before is the batch that takes changes back.
func before(old []previous) []Write {
	var writes []Write
	for _, p := range old {
		w := p.write
		w.Value, w.Else = p.value, nil
		writes = append(writes, w)
	}
	return writes
}

// differences leaves out what is set already, and returns the old values of the rest as
// far as they can be read and written back.
func (m *manager) differences(writes []Write) (changes []Write, old []previous) {
	for _, w := range writes {
		g := m.groupOf(w)
		if g == nil {
			changes = append(changes, w)
			continue
		}
		now, err := g.read(w.File)
		if err != nil {
			changes = append(changes, w)
			continue
		}
		value, whole := current(w, now)
		if value == w.Value {
			continue
		}
		changes = append(changes, w)
		if whole {
			old = append(old, previous{w, value})
		}
	}
	return changes, old
}

// current takes out of a file's content what compares with w.Value, and tells whether
// writing that back restores the file.
func current(w Write, content string) (value string, whole bool) {
	value = strings.TrimSpace(content)
	switch w.File {
	case "memory.oom_control":
		return eventValue(content, "oom_kill_disable"), true
	case "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes":
		if n, err := parseUint(value); err == nil && n >= unlimitedV1 {
			value = "-1"
		}
		return value, true
	case "cpu.max":
		// "quota period"; the write may name the quota alone
		if quota, _, ok := strings.Cut(value, " "); ok && !strings.Contains(w.Value, " ") {
			value = quota
		}
		return value, true
	}
	return value, !strings.ContainsAny(value, "\n ")
}

// unlimitedV1 is what version 1 shows for no limit, PAGE_COUNTER_MAX pages in bytes, or
// more: the largest signed number rounded down to a page of at most 64 KiB.
const unlimitedV1 = 1<<63 - 1<<16

// restore puts back the values from before changes that were made, the last one first.
func (m *manager) restore(done []Write, old []previous) {
	var f file
	defer f.close()
	for _, w := range slices.Backward(done) {
		for _, p := range old {
			if p.write == w {
				w.Value = p.value
				_ = m.write(&f, w)
			}
		}
	}
}

// complete fills in the live values that a partial update is relative to: on cgroup v2
// memory and swap have limits apart from each other, of which the sum is meant, and a
// period alone stands beside the quota.
func (m *manager) complete(res *specs.LinuxResources) (*specs.LinuxResources, error) {
	g := m.unified()
	if g == nil {
		return res, nil
	}
	full := *res
	if res.Memory != nil && m.v1("memory") == nil {
		var err error
		if full.Memory, err = g.completeMemory(res.Memory); err != nil {
			return nil, err
		}
	}
	if r := res.CPU; r != nil && m.v1("cpu") == nil && deref(r.Period) != 0 && deref(r.Quota) == 0 {
		now, err := g.read("cpu.max")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		var quota int64
		if _, err := fmt.Sscan(now, &quota); err == nil {
			cpu := *r
			cpu.Quota = &quota
			full.CPU = &cpu
		}
	}
	return &full, nil
}

// completeMemory adds the one of limit and sum that an update leaves as it is, so that
// with either the other keeps its meaning. Swap that is forbidden stays forbidden.
func (g *group) completeMemory(r *specs.LinuxMemory) (*specs.LinuxMemory, error) {
	limit, sum := deref(r.Limit), deref(r.Swap)
	if (limit > 0) == (sum > 0) || limit < 0 || sum < 0 {
		return r, nil
	}
	now, err := g.readUint("memory.max")
	if errors.Is(err, os.ErrNotExist) || err == nil && now >= unlimitedV1 {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	full := *r
	if limit == 0 {
		limit = int64(now)
		full.Limit = &limit
		return &full, nil
	}
	swap, err := g.readUint("memory.swap.max")
	if errors.Is(err, os.ErrNotExist) || err == nil && (swap == 0 || swap >= unlimitedV1) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	sum = int64(now + swap)
	if limit > sum {
		return nil, &ResourceError{Field: fieldRoot + "memory.limit", Reason: fmt.Sprintf("%d is more than memory and swap together may be, %d; set memory.swap as well", limit, sum)}
	}
	full.Swap = &sum
	return &full, nil
}

// checkUsage is memory.checkBeforeUpdate: version 2 would kill to get below a new limit,
// where version 1 refuses one that it can't reclaim down to.
func (m *manager) checkUsage(res *specs.LinuxResources) error {
	r, g := res.Memory, m.unified()
	if r == nil || !deref(r.CheckBeforeUpdate) || deref(r.Limit) <= 0 || g == nil || m.v1("memory") != nil {
		return nil
	}
	usage, err := g.readUint("memory.current")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // no memory controller: setting the limit says so
		}
		return err
	}
	if uint64(*r.Limit) < usage {
		return &ResourceError{Field: fieldRoot + "memory.limit", Reason: fmt.Sprintf("%d is less than the %d bytes in use, and memory.checkBeforeUpdate is set", *r.Limit, usage)}
	}
	return nil
}
