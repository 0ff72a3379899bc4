package cgroups

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// workloads are linux.resources as they are in the field.
var workloads = []struct{ name, res string }{
	{"none", ""},
	{"docker", `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":5,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":9,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":8,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":0,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"},{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}],"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0}}`},
	{"pod", `{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":67108864,"swap":67108864},"cpu":{"shares":204,"quota":20000,"period":100000},"pids":{"limit":1024},"hugepageLimits":[{"pageSize":"2MB","limit":0},{"pageSize":"1GB","limit":0}]}`},
	{"everything", `{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":67108864,"swap":67108864,"reservation":33554432,"disableOOMKiller":false},"cpu":{"shares":512,"quota":50000,"period":100000,"burst":0,"idle":0,"cpus":"0","mems":"0"},"pids":{"limit":100},"blockIO":{"weight":0,"throttleReadBpsDevice":[{"major":254,"minor":0,"rate":1048576}],"throttleWriteBpsDevice":[{"major":254,"minor":0,"rate":1048576}],"throttleReadIOPSDevice":[{"major":254,"minor":0,"rate":100}],"throttleWriteIOPSDevice":[{"major":254,"minor":0,"rate":100}]}}`},
}

// possible leaves out of resources what the host has no controller for.
func possible(b *testing.B, layout *Layout, text string) *specs.LinuxResources {
	b.Helper()
	if text == "" {
		return nil
	}
	res := resources(b, text)
	has := func(v1, v2 string) bool {
		if layout.V1Controller(v1) != nil {
			return true
		}
		available, err := readAt(unix.AT_FDCWD, layout.Unified+"/cgroup.controllers")
		return layout.Unified != "" && err == nil && slices.Contains(strings.Fields(available), v2)
	}
	if !has("memory", "memory") {
		res.Memory = nil
	}
	if !has("cpu", "cpu") || !has("cpuset", "cpuset") {
		res.CPU = nil
	}
	if !has("pids", "pids") {
		res.Pids = nil
	}
	if !has("blkio", "io") {
		res.BlockIO = nil
	}
	if !has("hugetlb", "hugetlb") {
		res.HugepageLimits = nil
	}
	return res
}

// benchLayout is the host's, where cgroups can be made.
func benchLayout(b *testing.B) *Layout {
	b.Helper()
	layout, err := Detect()
	if err != nil {
		b.Fatal(err)
	}
	if layout.Mode == None || os.Geteuid() != 0 {
		b.Skip("needs root, and a cgroup filesystem that is mounted")
	}
	return layout
}

// benchError ends a benchmark, which a controller that the host lacks only skips.
func benchError(b *testing.B, err error) {
	b.Helper()
	var lacks *ControllerError
	if errors.As(err, &lacks) {
		b.Skipf("needs a controller that this host lacks: %v", err)
	}
	b.Fatal(err)
}

// BenchmarkLife is what a container's cgroups cost from nothing to nothing: making them,
// setting the limits, moving a process there, removing them: the least that each part
// took, in microseconds, as a busy host adds to any average.
func BenchmarkLife(b *testing.B) {
	layout := benchLayout(b)
	for _, w := range workloads {
		res := possible(b, layout, w.res)
		b.Run(w.name, func(b *testing.B) {
			benchmarkLife(b, layout, &Config{ID: "bench", Resources: res, OCIVersion: "1.3.0"})
		})
	}
}

func benchmarkLife(b *testing.B, layout *Layout, cfg *Config) {
	const never = time.Hour
	mkdir, create, attach, destroy := never, never, never, never
	timed := func(least *time.Duration, f func() error) {
		start := time.Now()
		if err := f(); err != nil {
			benchError(b, err)
		}
		*least = min(*least, time.Since(start))
	}
	bare := *cfg
	bare.Resources = nil
	for b.Loop() {
		b.StopTimer()
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			benchError(b, err)
		}
		empty, err := New(layout, &bare)
		if err != nil {
			benchError(b, err)
		}
		timed(&mkdir, empty.Create)
		if err := empty.Destroy(); err != nil {
			benchError(b, err)
		}
		b.StartTimer()
		m, err := New(layout, cfg)
		if err != nil {
			benchError(b, err)
		}
		timed(&create, m.Create)
		timed(&attach, func() error { return m.Attach(cmd.Process.Pid) })
		b.StopTimer()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b.StartTimer()
		timed(&destroy, m.Destroy)
		m.Close()
	}
	for name, least := range map[string]time.Duration{"µs/mkdir": mkdir, "µs/mkdir+limits": create, "µs/attach": attach, "µs/destroy": destroy} {
		b.ReportMetric(float64(least.Nanoseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBatch counts what a batch saves: the files that would be written for each field
// of linux.resources on its own, the device rules of version 1 one by one; the writes of a
// new cgroup, without what it has anyway; and those of an update that repeats them.
func BenchmarkBatch(b *testing.B) {
	for _, layout := range []*Layout{onV1, onV2} {
		for _, w := range workloads[1:] {
			b.Run(layout.Mode.String()+"/"+w.name, func(b *testing.B) {
				res := resources(b, w.res)
				var all []Write
				var err error
				for b.Loop() {
					if all, _, err = Batch(res, layout, "1.3.0"); err != nil {
						benchError(b, err)
					}
				}
				fresh, files := 0, 0
				last := ""
				for _, w := range all {
					if w.Default {
						continue
					}
					fresh++
					if w.Controller+w.File != last {
						files++
					}
					last = w.Controller + w.File
				}
				b.ReportMetric(float64(fields(res, layout)), "fields")
				b.ReportMetric(float64(fresh), "writes")
				b.ReportMetric(float64(files), "opens")
			})
		}
	}
}

// fields counts the writes of a runtime that handles each field by itself.
func fields(res *specs.LinuxResources, layout *Layout) (n int) {
	count := func(set bool) {
		if set {
			n++
		}
	}
	if m := res.Memory; m != nil {
		for _, p := range []*int64{m.Limit, m.Swap, m.Reservation} {
			count(p != nil)
		}
		count(m.DisableOOMKiller != nil && layout.Mode == V1)
	}
	if c := res.CPU; c != nil {
		count(c.Shares != nil)
		count(c.Quota != nil)
		count(c.Period != nil)
		count(c.Burst != nil)
		count(c.Idle != nil)
		count(c.Cpus != "")
		count(c.Mems != "")
	}
	count(res.Pids != nil)
	if o := res.BlockIO; o != nil {
		count(o.Weight != nil)
		n += len(o.ThrottleReadBpsDevice) + len(o.ThrottleWriteBpsDevice) + len(o.ThrottleReadIOPSDevice) + len(o.ThrottleWriteIOPSDevice)
	}
	n += 2 * len(res.HugepageLimits)
	if layout.Mode == V1 && len(res.Devices) > 0 {
		n += len(res.Devices) + 12 // and the default devices, mknod for each type
	}
	return n
}

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		if _, err := Detect(); err != nil {
			benchError(b, err)
		}
	}
}

// BenchmarkStats reads all figures of one container.
func BenchmarkStats(b *testing.B) {
	layout := benchLayout(b)
	m, err := New(layout, &Config{ID: "bench-stats"})
	if err != nil {
		b.Fatal(err)
	}
	if err := m.Create(); err != nil {
		benchError(b, err)
	}
	defer func() {
		if err := m.Destroy(); err != nil {
			b.Error(err)
		}
	}()
	for b.Loop() {
		if _, err := m.Stats(); err != nil {
			benchError(b, err)
		}
	}
}
