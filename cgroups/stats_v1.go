package cgroups

import (
	"math"
	"strconv"
	"strings"
)

// clockTick is the unit of cpuacct.stat in nanoseconds: USER_HZ is 100 on every
// architecture that Go runs Linux on.
const clockTick = 1e9 / 100

// v1 adds a version 1 controller's figures.
func (r *reader) v1(controller string, s *Stats) {
	switch controller {
	case "cpu":
		t := r.table("cpu.stat")
		s.CPU.Throttling = Throttling{t["nr_periods"], t["nr_throttled"], t["throttled_time"]}
	case "cpuacct":
		r.cpuacct(&s.CPU.Usage)
	case "cpuset":
		r.cpusetV1(&s.CPUSet)
	case "memory":
		r.memoryV1(&s.Memory)
	case "pids":
		r.pids(&s.Pids)
	case "blkio":
		r.blkio(&s.Blkio)
	case "hugetlb":
		r.hugetlb(s.Hugetlb, ".usage_in_bytes", ".max_usage_in_bytes", func(prefix string) uint64 {
			return r.number(prefix + ".failcnt")
		})
	}
}

func (r *reader) cpuacct(u *CPUUsage) {
	u.Total = r.number("cpuacct.usage")
	t := r.table("cpuacct.stat")
	u.User, u.Kernel = t["user"]*clockTick, t["system"]*clockTick
	u.Percpu = r.list("cpuacct.usage_percpu")
	u.PercpuKernel = r.list("cpuacct.usage_percpu_sys")
	u.PercpuUser = r.list("cpuacct.usage_percpu_user")
}

func (r *reader) cpusetV1(c *CPUSet) {
	c.CPUs = r.set("cpuset.cpus")
	c.Mems = r.set("cpuset.mems")
	c.CPUExclusive = r.number("cpuset.cpu_exclusive")
	c.MemHardwall = r.number("cpuset.mem_hardwall")
	c.MemExclusive = r.number("cpuset.mem_exclusive")
	c.MemoryMigrate = r.number("cpuset.memory_migrate")
	c.MemorySpreadPage = r.number("cpuset.memory_spread_page")
	c.MemorySpreadSlab = r.number("cpuset.memory_spread_slab")
	c.MemoryPressure = r.number("cpuset.memory_pressure")
	c.SchedLoadBalance = r.number("cpuset.sched_load_balance")
	const level = "cpuset.sched_relax_domain_level"
	if text := strings.TrimSpace(r.text(level)); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			r.fail(level, err)
		}
		c.SchedRelaxDomainLevel = n
	}
}

func (r *reader) memoryV1(m *Memory) {
	m.Raw = r.table("memory.stat")
	m.Cache = m.Raw["cache"]
	m.Usage = r.account("memory.")
	m.Swap = r.account("memory.memsw.")
	m.Kernel = r.account("memory.kmem.")
	m.KernelTCP = r.account("memory.kmem.tcp.")
	if kills, ok := r.table("memory.oom_control")["oom_kill"]; ok {
		m.Events = map[string]uint64{"oom_kill": kills}
	}
}

func (r *reader) account(prefix string) MemoryEntry {
	return MemoryEntry{
		Limit:   r.number(prefix + "limit_in_bytes"),
		Usage:   r.number(prefix + "usage_in_bytes"),
		Max:     r.number(prefix + "max_usage_in_bytes"),
		Failcnt: r.number(prefix + "failcnt"),
	}
}

// pids has the same files in both versions.
func (r *reader) pids(p *Pids) {
	limit, ok := r.known("pids.max")
	if !ok {
		return
	}
	p.Current = r.number("pids.current")
	if limit != math.MaxUint64 {
		p.Limit = limit
	}
}

// blkio takes the figures of the scheduler that has any for a device: BFQ, CFQ (until
// Linux 5.0), else the throttling layer's, which sees every request.
func (r *reader) blkio(b *Blkio) {
	for _, prefix := range [...]string{"blkio.bfq.", "blkio.", "blkio.throttle."} {
		b.IoServiceBytesRecursive = r.blkioFile(prefix + "io_service_bytes_recursive")
		if len(b.IoServiceBytesRecursive) == 0 {
			continue
		}
		b.IoServicedRecursive = r.blkioFile(prefix + "io_serviced_recursive")
		b.IoQueuedRecursive = r.blkioFile(prefix + "io_queued_recursive")
		b.IoServiceTimeRecursive = r.blkioFile(prefix + "io_service_time_recursive")
		b.IoWaitTimeRecursive = r.blkioFile(prefix + "io_wait_time_recursive")
		b.IoMergedRecursive = r.blkioFile(prefix + "io_merged_recursive")
		b.IoTimeRecursive = r.blkioFile(prefix + "time_recursive")
		b.SectorsRecursive = r.blkioFile(prefix + "sectors_recursive")
		return
	}
}

func (r *reader) blkioFile(file string) (entries []BlkioEntry) {
	for line := range strings.Lines(r.text(file)) {
		// 8:0 Read 4096, or 8:0 4096; at last the sum over devices, Total 4096
		f := strings.Fields(line)
		if len(f) < 2 || f[0] == "Total" {
			continue
		}
		e, ok := blkioDevice(f[0])
		value, err := strconv.ParseUint(f[len(f)-1], 10, 64)
		if !ok || err != nil {
			continue
		}
		if e.Value = value; len(f) > 2 {
			e.Op = f[1]
		}
		entries = append(entries, e)
	}
	return entries
}

func blkioDevice(s string) (e BlkioEntry, ok bool) {
	major, minor, ok := strings.Cut(s, ":")
	var err1, err2 error
	e.Major, err1 = strconv.ParseUint(major, 10, 64)
	e.Minor, err2 = strconv.ParseUint(minor, 10, 64)
	return e, ok && err1 == nil && err2 == nil
}

// hugetlb prefers the account of reservations, which is there since Linux 5.7.
func (r *reader) hugetlb(to map[string]Hugetlb, usage, highest string, failures func(prefix string) uint64) {
	for _, size := range hugePageSizes() {
		prefix := "hugetlb." + size + ".rsvd"
		used, ok := r.known(prefix + usage)
		if !ok {
			prefix = "hugetlb." + size
			used, ok = r.known(prefix + usage)
		}
		if !ok {
			continue
		}
		h := Hugetlb{Usage: used, Failcnt: failures(prefix)}
		if highest != "" {
			h.Max = r.number(prefix + highest)
		}
		to[size] = h
	}
}
