package cgroups

import (
	"math"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// memory sets limits in bytes. Engines send 0 for "not set" and -1 for "no limit".
func (b *batch) memory(r *specs.LinuxMemory) {
	limit, swap, reservation := deref(r.Limit), deref(r.Swap), deref(r.Reservation)
	for _, f := range [...]struct {
		name  string
		value int64
	}{{"limit", limit}, {"swap", swap}, {"reservation", reservation}} {
		if f.value < -1 {
			b.fail("memory."+f.name, "%d is negative; -1 is no limit", f.value)
			return
		}
	}
	if limit > 0 && swap > 0 && swap < limit {
		b.fail("memory.swap", "%d is the sum of memory and swap, it can't be less than memory.limit, %d", swap, limit)
		return
	}
	if deref(r.Kernel) > 0 {
		b.warn("memory.kernel", "ignored: the kernel has no such limit any more; kernel memory counts towards memory.limit")
	}
	if deref(r.KernelTCP) > 0 {
		b.warn("memory.kernelTCP", "ignored: obsolete; limit memory as a whole by memory.limit")
	}
	if r.Swappiness != nil && *r.Swappiness > 100 && !isUnset(r.Swappiness) {
		b.fail("memory.swappiness", "%d is not in the range 0 to 100", *r.Swappiness)
		return
	}
	c := b.on("memory", "memory")
	if c.v2 {
		b.memoryV2(c, r, limit, swap, reservation)
	} else {
		b.memoryV1(c, r, limit, swap, reservation)
	}
}

// isUnset tells an unsigned value that engines send for "not set": -1 of theirs.
func isUnset(p *uint64) bool { return p == nil || *p == math.MaxUint64 }

// memoryV1: the kernel keeps limit ≤ memory+swap at every moment, so lifting the limit
// alone would fail, or do nothing, on a cgroup whose sum is bounded: the sum goes with it.
func (b *batch) memoryV1(c controllerFiles, r *specs.LinuxMemory, limit, swap, reservation int64) {
	c.bytes("memory.limit", "memory.limit_in_bytes", limit)
	if limit == -1 && swap == 0 {
		c.bytes("memory.limit", "memory.memsw.limit_in_bytes", -1)
	} else {
		c.bytes("memory.swap", "memory.memsw.limit_in_bytes", swap)
	}
	c.bytes("memory.reservation", "memory.soft_limit_in_bytes", reservation)
	if !isUnset(r.Swappiness) {
		c.put("memory.swappiness", "memory.swappiness", strconv.FormatUint(*r.Swappiness, 10))
	}
	if r.DisableOOMKiller != nil {
		w := Write{File: "memory.oom_control", Value: "0", Field: "memory.disableOOMKiller", Default: true}
		if *r.DisableOOMKiller {
			w.Value, w.Default = "1", false
		}
		c.add(w)
	}
}

// bytes adds a version 1 limit.
func (c controllerFiles) bytes(field, file string, value int64) {
	switch {
	case value > 0:
		c.put(field, file, strconv.FormatInt(value, 10))
	case value < 0:
		c.putDefault(field, file, "-1")
	}
}

// memoryV2: version 2 limits swap apart from memory, so the sum is split. Protection
// (memory.low) is what a soft limit comes to there.
func (b *batch) memoryV2(c controllerFiles, r *specs.LinuxMemory, limit, swap, reservation int64) {
	if !isUnset(r.Swappiness) {
		b.fail("memory.swappiness", "cgroup v2 has no swappiness of a cgroup; remove the setting, or set the host's vm.swappiness")
		return
	}
	if deref(r.DisableOOMKiller) {
		b.fail("memory.disableOOMKiller", "the OOM killer of a cgroup can't be disabled on cgroup v2; remove the setting, or set unified \"memory.high\" below the limit")
		return
	}
	switch {
	case limit > 0:
		c.put("memory.limit", "memory.max", strconv.FormatInt(limit, 10))
	case limit < 0:
		c.putDefault("memory.limit", "memory.max", "max")
	}
	switch {
	case swap > 0 && limit <= 0:
		b.fail("memory.swap", "%d is the sum of memory and swap; on cgroup v2 it needs a memory.limit to take off", swap)
		return
	case swap > 0:
		// Where the kernel counts no swap there is none to forbid.
		c.add(Write{File: "memory.swap.max", Value: strconv.FormatInt(swap-limit, 10), Field: "memory.swap", Optional: swap == limit})
	case swap < 0:
		c.putDefault("memory.swap", "memory.swap.max", "max")
	case limit < 0:
		c.putDefault("memory.limit", "memory.swap.max", "max")
	}
	switch {
	case reservation > 0:
		c.put("memory.reservation", "memory.low", strconv.FormatInt(reservation, 10))
	case reservation < 0:
		c.put("memory.reservation", "memory.low", "max")
	}
}
