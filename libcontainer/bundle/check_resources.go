package bundle

import (
	"math"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// resources checks linux.resources. Engines write out what their users left
// unset as 0 (cpu.shares, cpu.quota, cpu.period, memory limits, weights), so
// zero passes everywhere and means that.
func (c *checker) resources(at *path, r *specs.LinuxResources) {
	c.deviceRules(at, r.Devices)
	c.memory(at, r.Memory)
	c.cpu(at, r.CPU)
	if r.Pids != nil && r.Pids.Limit != nil {
		pids := at.member("pids")
		c.atLeastMinusOne(pids.member("limit"), r.Pids.Limit)
	}
	c.blockIO(at, r.BlockIO)
	c.hugepages(at, r.HugepageLimits)
	if r.Network != nil {
		network := at.member("network")
		priorities := network.member("priorities")
		for i := range r.Network.Priorities {
			p := priorities.at(i)
			c.interfaceName(p.member("name"), r.Network.Priorities[i].Name)
		}
	}
	c.rdma(at, r.Rdma)
	c.unified(at, r.Unified)
}

// atLeastMinusOne checks a limit of which -1 stands for none.
func (c *checker) atLeastMinusOne(at path, limit *int64) {
	if limit != nil && *limit < -1 {
		c.failf(at, "must not be negative, it is %d", *limit).Hint = "-1 stands for no limit"
	}
}

func (c *checker) memory(resources *path, m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	at := resources.member("memory")
	c.atLeastMinusOne(at.member("limit"), m.Limit)
	c.atLeastMinusOne(at.member("reservation"), m.Reservation)
	c.atLeastMinusOne(at.member("swap"), m.Swap)
	//lint:ignore SA1019 what is deprecated is still in configurations
	c.atLeastMinusOne(at.member("kernel"), m.Kernel)
	c.atLeastMinusOne(at.member("kernelTCP"), m.KernelTCP)
	// Engines send their "unset", -1, through the unsigned type.
	if s := m.Swappiness; s != nil && *s > 100 && *s != math.MaxUint64 {
		c.failf(at.member("swappiness"), "must be from 0 to 100, it is %d", *s)
	}
	if m.Limit != nil && m.Swap != nil && *m.Limit > 0 && *m.Swap > 0 && *m.Swap < *m.Limit {
		c.failf(at.member("swap"), "%d is less than limit, %d: it counts memory and swap together", *m.Swap, *m.Limit)
	}
}

// Bandwidth periods of the CFS scheduler, in microseconds
// (Documentation/scheduler/sched-bwc).
const (
	minCFSPeriod = 1000
	maxCFSPeriod = 1000000
)

func (c *checker) cpu(resources *path, cpu *specs.LinuxCPU) {
	if cpu == nil {
		return
	}
	at := resources.member("cpu")
	c.atLeastMinusOne(at.member("quota"), cpu.Quota)
	if q := cpu.Quota; q != nil && *q > 0 {
		if *q < minCFSPeriod {
			c.failf(at.member("quota"), "%d µs are less than the kernel takes, %d", *q, minCFSPeriod)
		}
		if cpu.Burst != nil && *cpu.Burst > uint64(*q) {
			c.failf(at.member("burst"), "%d µs are more than quota, %d µs", *cpu.Burst, *q)
		}
	}
	if p := cpu.Period; p != nil && *p != 0 && (*p < minCFSPeriod || *p > maxCFSPeriod) {
		c.failf(at.member("period"), "must be from %d to %d µs, it is %d", minCFSPeriod, maxCFSPeriod, *p)
	}
	c.atLeastMinusOne(at.member("realtimeRuntime"), cpu.RealtimeRuntime)
	if rt, p := cpu.RealtimeRuntime, cpu.RealtimePeriod; rt != nil && p != nil && *rt > 0 && *p != 0 && uint64(*rt) > *p {
		c.failf(at.member("realtimeRuntime"), "%d µs are more than realtimePeriod, %d µs", *rt, *p)
	}
	c.list(at.member("cpus"), "CPU", cpu.Cpus)
	c.list(at.member("mems"), "node", cpu.Mems)
	if idle := cpu.Idle; idle != nil && *idle != 0 && *idle != 1 {
		c.failf(at.member("idle"), "must be 0 or 1, it is %d", *idle)
	}
}

func (c *checker) blockIO(resources *path, b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	at := resources.member("blockIO")
	c.weight(at.member("weight"), b.Weight)
	c.weight(at.member("leafWeight"), b.LeafWeight)
	weights := at.member("weightDevice")
	for i := range b.WeightDevice {
		d := &b.WeightDevice[i]
		entry := weights.at(i)
		c.blockDevice(&entry, d.LinuxBlockIODevice)
		if d.Weight == nil && d.LeafWeight == nil {
			c.fail(entry, "weight or leafWeight is required")
		}
		c.weight(entry.member("weight"), d.Weight)
		c.weight(entry.member("leafWeight"), d.LeafWeight)
	}
	for _, throttle := range [...]struct {
		member string
		list   []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		list := at.member(throttle.member)
		for i := range throttle.list {
			entry := list.at(i)
			c.blockDevice(&entry, throttle.list[i].LinuxBlockIODevice)
		}
	}
}

func (c *checker) blockDevice(at *path, d specs.LinuxBlockIODevice) {
	c.deviceNumber(at.member("major"), d.Major, 0, maxMajor)
	c.deviceNumber(at.member("minor"), d.Minor, 0, maxMinor)
}

// weight has the range of blkio.weight; io.weight of cgroup v2 is converted
// from it.
func (c *checker) weight(at path, w *uint16) {
	if w != nil && *w != 0 && (*w < 10 || *w > 1000) {
		c.failf(at, "must be from 10 to 1000, or 0 for unset, it is %d", *w)
	}
}

func (c *checker) hugepages(resources *path, limits []specs.LinuxHugepageLimit) {
	all := resources.member("hugepageLimits")
	for i := range limits {
		if size := limits[i].Pagesize; !isPageSize(size) {
			at := all.at(i)
			c.failf(at.member("pageSize"), "%q is not a page size", size).Hint = "for example 64KB, 2MB or 1GB"
		}
	}
}

// isPageSize: a number and KB, MB or GB, which is also a part of a file's name.
func isPageSize(s string) bool {
	number := strings.TrimSuffix(s, "B")
	return len(number) == len(s)-1 && len(number) > 1 && number[0] != '0' &&
		strings.IndexByte("KMG", number[len(number)-1]) >= 0 && isNumeric(number[:len(number)-1])
}

func (c *checker) rdma(resources *path, devices map[string]specs.LinuxRdma) {
	if len(devices) == 0 {
		return
	}
	all := resources.member("rdma")
	for _, name := range sortedKeys(devices) {
		at := all.key(name)
		// rdma.max has lines of a device's name and its limits.
		if name == "" || strings.ContainsAny(name, " \t\n/") {
			c.fail(at, "is not a name of a device")
		}
		if d := devices[name]; d.HcaHandles == nil && d.HcaObjects == nil {
			c.fail(at, "hcaHandles or hcaObjects is required")
		}
	}
}

func (c *checker) unified(resources *path, files map[string]string) {
	if len(files) == 0 {
		return
	}
	all := resources.member("unified")
	for _, name := range sortedKeys(files) {
		at := all.key(name)
		if strings.Contains(name, "/") {
			c.fail(at, "must be the name of a file in the container's cgroup, without slashes")
			continue
		}
		if controller, file, _ := strings.Cut(name, "."); controller == "" || file == "" || file == "." {
			c.fail(at, "must have the form CONTROLLER.FILE").Hint = `for example "memory.high"`
		}
	}
}
