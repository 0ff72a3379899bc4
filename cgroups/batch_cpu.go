package cgroups

import (
	"math"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (b *batch) cpu(r *specs.LinuxCPU) {
	b.cpuset(r)
	b.cpuShare(r)
	b.cpuBandwidth(r)
	b.cpuRealtime(r)
}

func (b *batch) cpuset(r *specs.LinuxCPU) {
	c := b.on("cpuset", "cpuset")
	if r.Cpus != "" {
		c.put("cpu.cpus", "cpuset.cpus", r.Cpus)
	}
	if r.Mems != "" {
		c.put("cpu.mems", "cpuset.mems", r.Mems)
	}
}

// cpuShare sets the weight. An idle cgroup has the smallest there is and the kernel
// refuses to set another (sched_group_set_shares), so idle decides.
func (b *batch) cpuShare(r *specs.LinuxCPU) {
	c := b.on("cpu", "cpu")
	idle := r.Idle != nil && *r.Idle == 1
	if r.Idle != nil {
		switch *r.Idle {
		case 0:
			c.putDefault("cpu.idle", "cpu.idle", "0")
		case 1:
			c.put("cpu.idle", "cpu.idle", "1")
		default:
			b.fail("cpu.idle", "%d is neither 0 nor 1", *r.Idle)
			return
		}
	}
	if r.Shares == nil || *r.Shares == 0 || idle {
		return
	}
	if c.v2 {
		c.put("cpu.shares", "cpu.weight", strconv.FormatUint(Weight(*r.Shares), 10))
		return
	}
	c.put("cpu.shares", "cpu.shares", strconv.FormatUint(*r.Shares, 10))
}

// Weight converts cpu.shares of cgroup v1 (2 to 262144, 1024 by default) to cpu.weight of
// v2 (1 to 10000, 100 by default). The curve is a parabola between the logarithms through
// the ranges' ends and defaults: log10 w = (l² + 125·l - 126) / 612 with l = log2 shares.
// It is what runc uses since 1.3.2 and crun since 1.23 (kubernetes/kubernetes#131216).
func Weight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 1<<18:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l-126)/612)))
}

// defaultPeriod is a new cgroup's period, in microseconds, in both versions.
const defaultPeriod = 100000

// cpuBandwidth sets quota, period and burst; 0 is unset, a negative quota is unlimited.
func (b *batch) cpuBandwidth(r *specs.LinuxCPU) {
	c := b.on("cpu", "cpu")
	quota, period := deref(r.Quota), deref(r.Period)
	if quota > 0 && deref(r.Burst) > uint64(quota) {
		b.fail("cpu.burst", "%d is more than cpu.quota, %d", *r.Burst, quota)
		return
	}
	if c.v2 {
		c.cpuMax(quota, period)
	} else {
		if period != 0 {
			c.add(Write{File: "cpu.cfs_period_us", Value: strconv.FormatUint(period, 10), Field: "cpu.period", Default: period == defaultPeriod})
		}
		switch {
		case quota > 0:
			c.put("cpu.quota", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
		case quota < 0:
			c.putDefault("cpu.quota", "cpu.cfs_quota_us", "-1")
		}
	}
	if r.Burst != nil {
		c.add(Write{File: c.either("cpu.cfs_burst_us", "cpu.max.burst"), Value: strconv.FormatUint(*r.Burst, 10),
			Field: "cpu.burst", Default: *r.Burst == 0})
	}
}

// cpuMax writes "quota period", where an absent period stays what it is.
func (c controllerFiles) cpuMax(quota int64, period uint64) {
	if quota == 0 && period == 0 {
		return
	}
	w := Write{File: "cpu.max", Value: "max", Field: "cpu.quota"}
	if quota > 0 {
		w.Value = strconv.FormatInt(quota, 10)
	}
	if quota == 0 {
		w.Field = "cpu.period"
	}
	if period != 0 {
		w.Value += " " + strconv.FormatUint(period, 10)
	}
	w.Default = quota <= 0 && (period == 0 || period == defaultPeriod)
	c.add(w)
}

// cpuRealtime: the unified hierarchy has no realtime scheduling limits (cgroup-v2.rst, CPU).
func (b *batch) cpuRealtime(r *specs.LinuxCPU) {
	c := b.on("cpu", "")
	period, runtime := deref(r.RealtimePeriod), deref(r.RealtimeRuntime)
	if b.layout.Mode == V2 && (period != 0 || runtime != 0) {
		field := "cpu.realtimeRuntime"
		if runtime == 0 {
			field = "cpu.realtimePeriod"
		}
		b.fail(field, "cgroup v2 doesn't limit realtime tasks; remove the setting")
		return
	}
	if period != 0 {
		c.put("cpu.realtimePeriod", "cpu.rt_period_us", strconv.FormatUint(period, 10))
	}
	if runtime != 0 {
		c.put("cpu.realtimeRuntime", "cpu.rt_runtime_us", strconv.FormatInt(runtime, 10))
	}
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
