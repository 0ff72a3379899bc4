package systemd

import (
	"math"
	"strconv"
	"strings"

	"davit/cgroups/cpuset"
	"davit/cgroups/systemd/dbus"
)

// Setting is one value for one file of a unit's cgroup.
type Setting struct{ File, Value string }

// Bandwidth is a unit's CPU time, in microseconds: what settings that name only the one of quota
// and period stand beside.
type Bandwidth struct {
	Quota  int64  // less than 1 is no limit
	Period uint64 // 0 is the kernel's default
}

const (
	unlimited     = math.MaxUint64 // "infinity", and the weight that is not set
	defaultPeriod = 100000
)

// First versions of systemd that know a property.
const (
	sinceQuotaPeriod = 242
	sinceCpuset      = 244
	sinceIdle        = 252
	sinceZswap       = 253
)

// Properties returns what a unit is told so that systemd, which writes these files itself at
// every daemon-reload and whenever a unit's properties change, writes what the settings say. A
// file that it leaves alone, or that a systemd of this version does, has none, and neither has a
// value that the kernel won't take. It is pure.
//
// A quota is kept by systemd as a whole percentage of a CPU, so it is rounded up to one. What is
// exact is the file, which is to be written afterwards.
func Properties(settings []Setting, now Bandwidth, version int) []Property {
	t := &translation{version: version, bandwidth: now}
	for _, s := range settings {
		t.setting(s)
	}
	if t.quotaSet {
		t.cpuQuota()
	}
	if t.idle == "0" && !t.weighted {
		t.put("CPUWeight", uint64(unlimited))
	}
	t.devices("IODeviceWeight", t.ioDevices)
	t.devices("BlockIODeviceWeight", t.blockDevices)
	return t.list
}

type translation struct {
	version   int
	list      []Property
	bandwidth Bandwidth
	quotaSet  bool
	idle      string
	weighted  bool // a CPU weight is set

	ioDevices, blockDevices []any
}

func (t *translation) put(name string, value any) {
	sig := "t"
	if _, ok := value.([]byte); ok {
		sig = "ay"
	}
	t.list = append(t.list, Property{name, dbus.Variant{Sig: sig, Value: value}})
}

// number puts a property if the value is a number, "max", or version 1's -1.
func (t *translation) number(name, value string) {
	if n, ok := parseSize(value); ok {
		t.put(name, n)
	}
}

func (t *translation) setting(s Setting) {
	switch s.File {
	case "cpu.weight":
		t.weighted = true
		t.number("CPUWeight", s.Value)
	case "cpu.shares":
		t.weighted = true
		t.number("CPUShares", s.Value)
	case "cpu.idle":
		t.setIdle(s.Value)
	case "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us":
		t.setBandwidth(s)
	case "cpuset.cpus":
		t.cpuset("AllowedCPUs", s.Value)
	case "cpuset.mems":
		t.cpuset("AllowedMemoryNodes", s.Value)
	case "memory.min":
		t.number("MemoryMin", s.Value)
	case "memory.low":
		t.number("MemoryLow", s.Value)
	case "memory.high":
		t.number("MemoryHigh", s.Value)
	case "memory.max":
		t.number("MemoryMax", s.Value)
	case "memory.swap.max":
		t.number("MemorySwapMax", s.Value)
	case "memory.zswap.max":
		if t.version >= sinceZswap {
			t.number("MemoryZSwapMax", s.Value)
		}
	case "memory.limit_in_bytes":
		t.number("MemoryLimit", s.Value)
	case "pids.max":
		t.number("TasksMax", s.Value)
	case "io.weight":
		t.ioWeight("IOWeight", &t.ioDevices, s.Value)
	case "blkio.weight":
		t.ioWeight("BlockIOWeight", &t.blockDevices, s.Value)
	case "blkio.weight_device":
		t.ioWeight("", &t.blockDevices, s.Value)
	}
}

// setIdle: an idle cgroup is one with the weight "idle", which is 0 on the bus.
func (t *translation) setIdle(value string) {
	if t.version < sinceIdle {
		return
	}
	t.idle = value
	if value == "1" {
		t.put("CPUWeight", uint64(0))
	}
}

func (t *translation) setBandwidth(s Setting) {
	quota, period := s.Value, ""
	switch s.File {
	case "cpu.max":
		quota, period, _ = strings.Cut(s.Value, " ")
	case "cpu.cfs_period_us":
		quota, period = "", s.Value
	}
	if n, err := strconv.ParseUint(period, 10, 64); err == nil {
		t.bandwidth.Period = n
	}
	switch n, ok := parseSize(quota); {
	case ok && n > math.MaxInt64:
		t.bandwidth.Quota = -1
	case ok:
		t.bandwidth.Quota = int64(n)
	}
	t.quotaSet = true
}

// cpuQuota: a period is told as far as it isn't the default, for older versions don't know it.
func (t *translation) cpuQuota() {
	const second, percent = 1000000, 10000
	period := t.bandwidth.Period
	if period == 0 {
		period = defaultPeriod
	}
	perSecond := uint64(unlimited)
	if quota := t.bandwidth.Quota; quota > 0 && uint64(quota) < math.MaxUint64/second {
		n := uint64(quota) * second
		n = n/period + min(n%period, 1)
		perSecond = (n + percent - 1) / percent * percent
	}
	t.put("CPUQuotaPerSecUSec", perSecond)
	if t.version >= sinceQuotaPeriod && (period != defaultPeriod || t.bandwidth.Period != 0) {
		t.put("CPUQuotaPeriodUSec", period)
	}
}

// mostCPU is the highest number that a kernel can be built for (CONFIG_NR_CPUS).
const mostCPU = 1<<13 - 1

func (t *translation) cpuset(name, list string) {
	if t.version < sinceCpuset {
		return
	}
	if mask, err := cpuset.Mask(strings.TrimSpace(list), mostCPU, 1); err == nil && len(mask) > 0 {
		t.put(name, mask)
	}
}

// ioWeight takes the weight of the whole ("100", "default 100") or of a device ("8:0 100").
func (t *translation) ioWeight(name string, devices *[]any, value string) {
	value = strings.TrimPrefix(value, "default ")
	device, weight, ok := strings.Cut(value, " ")
	if !ok {
		if name != "" {
			t.number(name, value)
		}
		return
	}
	n, err := strconv.ParseUint(weight, 10, 64)
	if err == nil && strings.Trim(device, "0123456789:") == "" {
		*devices = append(*devices, []any{"/dev/block/" + device, n})
	}
}

func (t *translation) devices(name string, list []any) {
	if len(list) > 0 {
		t.list = append(t.list, Property{name, dbus.Variant{Sig: "a(st)", Value: list}})
	}
}

// parseSize reads a number as the kernel does (memparse): decimal, or with 0x or 0 in front
// another base, and a suffix of K to E.
func parseSize(s string) (uint64, bool) {
	s = strings.TrimSpace(s)
	if s == "max" || s == "-1" {
		return unlimited, true
	}
	shift := 0
	if s != "" {
		if i := strings.IndexByte("KMGTPE", s[len(s)-1]&^0x20); i >= 0 && !strings.HasPrefix(s, "0x") {
			shift, s = 10*(i+1), s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return 0, false
	}
	return n << shift, true
}
