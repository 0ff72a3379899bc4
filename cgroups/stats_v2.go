package cgroups

import (
	"math"
	"strconv"
	"strings"
)

// unified adds the figures of the unified hierarchy, with version 1's units and meanings.
// On a hybrid host most controllers are elsewhere; pressure is here all the same.
func (r *reader) unified(s *Stats) {
	if t := r.table("cpu.stat"); s.CPU.Usage.Total == 0 && t["usage_usec"] != 0 {
		s.CPU.Usage.Total = t["usage_usec"] * 1000
		s.CPU.Usage.User = t["user_usec"] * 1000
		s.CPU.Usage.Kernel = t["system_usec"] * 1000
		if _, ok := t["nr_periods"]; ok {
			s.CPU.Throttling = Throttling{t["nr_periods"], t["nr_throttled"], t["throttled_usec"] * 1000}
		}
	}
	s.CPU.PSI = r.psi("cpu.pressure")
	if cpus := r.set("cpuset.cpus.effective"); cpus != nil {
		s.CPUSet.CPUs = cpus
		s.CPUSet.Mems = r.set("cpuset.mems.effective")
	}
	if raw := r.table("memory.stat"); raw != nil {
		s.Memory.Raw = raw
		r.memoryV2(&s.Memory)
	}
	s.Memory.PSI = r.psi("memory.pressure")
	r.pids(&s.Pids)
	r.io(&s.Blkio)
	s.Blkio.PSI = r.psi("io.pressure")
	r.hugetlb(s.Hugetlb, ".current", "", func(prefix string) uint64 {
		return r.table(strings.TrimSuffix(prefix, ".rsvd") + ".events")["max"]
	})
}

// memoryV2 adds swap to memory, as version 1 counts. The peak of the sum isn't known.
func (r *reader) memoryV2(m *Memory) {
	m.Cache = m.Raw["file"]
	m.Usage = MemoryEntry{Limit: r.number("memory.max"), Usage: r.number("memory.current"), Max: r.number("memory.peak")}
	m.Events = r.table("memory.events")
	m.Usage.Failcnt = m.Events["max"]
	limit, ok := r.known("memory.swap.max")
	if !ok {
		return
	}
	m.Swap = MemoryEntry{Limit: limit, Usage: r.number("memory.swap.current") + m.Usage.Usage}
	switch {
	case m.Swap.Limit == math.MaxUint64:
	case m.Usage.Limit == math.MaxUint64:
		m.Swap.Limit = math.MaxUint64
	default:
		m.Swap.Limit += m.Usage.Limit
	}
}

// io reads io.stat: what version 1 has words for.
func (r *reader) io(b *Blkio) {
	for line := range strings.Lines(r.text("io.stat")) {
		// 8:0 rbytes=90 wbytes=0 rios=3 wios=0 dbytes=0 dios=0
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		e, ok := blkioDevice(f[0])
		if !ok {
			continue
		}
		for _, pair := range f[1:] {
			key, value, _ := strings.Cut(pair, "=")
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				continue // a scheduler's own figures, such as cost.usage
			}
			e.Value = n
			switch key {
			case "rbytes":
				e.Op = "Read"
				b.IoServiceBytesRecursive = append(b.IoServiceBytesRecursive, e)
			case "wbytes":
				e.Op = "Write"
				b.IoServiceBytesRecursive = append(b.IoServiceBytesRecursive, e)
			case "rios":
				e.Op = "Read"
				b.IoServicedRecursive = append(b.IoServicedRecursive, e)
			case "wios":
				e.Op = "Write"
				b.IoServicedRecursive = append(b.IoServicedRecursive, e)
			}
		}
	}
}
