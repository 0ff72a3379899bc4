package cli

import (
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"davit/cgroups"
)

// family is a family of metrics in the OpenMetrics format. What it has no value
// for in a container's statistics it leaves out: an absent controller is not zero.
type family struct {
	name   string // without the _total of counters
	kind   string // counter or gauge
	unit   string // the name's end, or ""
	help   string
	values func(*cgroups.Stats, *series)
}

// series takes the values that a family has for one container.
type series struct {
	strings.Builder
	name, id string
}

// add writes a sample; labels are names and values in turn, none of which needs escapes.
func (s *series) add(value string, labels ...string) {
	s.WriteString(s.name + `{id="` + s.id + `"`)
	for i := 0; i < len(labels); i += 2 {
		s.WriteString("," + labels[i] + `="` + labels[i+1] + `"`)
	}
	s.WriteString("} " + value + "\n")
}

func (s *series) number(n uint64, labels ...string) { s.add(strconv.FormatUint(n, 10), labels...) }

// seconds takes a number of parts of a second.
func (s *series) seconds(n uint64, parts float64, labels ...string) {
	s.add(strconv.FormatFloat(float64(n)/parts, 'f', -1, 64), labels...)
}

// printMetrics writes the OpenMetrics text format. It is valid in Prometheus' older text
// format, too, where UNIT and EOF are comments.
func printMetrics(w io.Writer, all []sample) error {
	var b strings.Builder
	for _, f := range families() {
		s := series{name: "davit_container_" + f.name}
		name := s.name
		if f.kind == "counter" {
			s.name += "_total"
		}
		for _, one := range all {
			s.id = one.id
			f.values(one.stats, &s)
		}
		if s.Len() == 0 {
			continue
		}
		b.WriteString("# TYPE " + name + " " + f.kind + "\n")
		if f.unit != "" {
			b.WriteString("# UNIT " + name + " " + f.unit + "\n")
		}
		b.WriteString("# HELP " + name + " " + f.help + "\n")
		b.WriteString(s.String())
	}
	b.WriteString("# EOF\n")
	_, err := io.WriteString(w, b.String())
	return err
}

const (
	nanoseconds  = 1e9
	microseconds = 1e6
)

func families() []family {
	return append(append(cpuFamilies(), memoryFamilies()...), otherFamilies()...)
}

func cpuFamilies() []family {
	return []family{
		{"cpu_usage_seconds", "counter", "seconds", "CPU time used.", func(s *cgroups.Stats, out *series) {
			out.seconds(s.CPU.Usage.Total, nanoseconds)
		}},
		{"cpu_user_seconds", "counter", "seconds", "CPU time used outside of the kernel.", func(s *cgroups.Stats, out *series) {
			out.seconds(s.CPU.Usage.User, nanoseconds)
		}},
		{"cpu_system_seconds", "counter", "seconds", "CPU time used in the kernel.", func(s *cgroups.Stats, out *series) {
			out.seconds(s.CPU.Usage.Kernel, nanoseconds)
		}},
		{"cpu_periods", "counter", "", "Periods in which a CPU quota was in force.", func(s *cgroups.Stats, out *series) {
			if s.CPU.Throttling.Periods > 0 {
				out.number(s.CPU.Throttling.Periods)
			}
		}},
		{"cpu_throttled_periods", "counter", "", "Periods in which the CPU quota was exhausted.", func(s *cgroups.Stats, out *series) {
			if s.CPU.Throttling.Periods > 0 {
				out.number(s.CPU.Throttling.ThrottledPeriods)
			}
		}},
		{"cpu_throttled_seconds", "counter", "seconds", "Time for which the CPU quota was exhausted.", func(s *cgroups.Stats, out *series) {
			if s.CPU.Throttling.Periods > 0 {
				out.seconds(s.CPU.Throttling.ThrottledTime, nanoseconds)
			}
		}},
	}
}

func memoryFamilies() []family {
	return []family{
		{"memory_usage_bytes", "gauge", "bytes", "Memory in use, caches included.", func(s *cgroups.Stats, out *series) {
			if s.Memory.Raw != nil {
				out.number(s.Memory.Usage.Usage)
			}
		}},
		{"memory_limit_bytes", "gauge", "bytes", "Limit of memory; absent if there is none.", func(s *cgroups.Stats, out *series) {
			if isLimit(s.Memory.Usage.Limit) {
				out.number(s.Memory.Usage.Limit)
			}
		}},
		{"memory_peak_bytes", "gauge", "bytes", "Most memory ever in use.", func(s *cgroups.Stats, out *series) {
			if s.Memory.Usage.Max > 0 {
				out.number(s.Memory.Usage.Max)
			}
		}},
		{"memory_cache_bytes", "gauge", "bytes", "Memory that caches files.", func(s *cgroups.Stats, out *series) {
			if s.Memory.Raw != nil {
				out.number(s.Memory.Cache)
			}
		}},
		{"memory_swap_bytes", "gauge", "bytes", "Swap in use.", func(s *cgroups.Stats, out *series) {
			if sum := s.Memory.Swap; sum.Limit > 0 {
				out.number(sum.Usage - min(sum.Usage, s.Memory.Usage.Usage)) // read one after the other
			}
		}},
		{"memory_limit_hits", "counter", "", "Allocations that ran into the limit of memory.", func(s *cgroups.Stats, out *series) {
			hits, v2 := s.Memory.Events["max"]
			if !v2 {
				hits = s.Memory.Usage.Failcnt
			}
			if s.Memory.Raw != nil {
				out.number(hits)
			}
		}},
		{"memory_oom_kills", "counter", "", "Processes killed for want of memory.", func(s *cgroups.Stats, out *series) {
			if kills, ok := s.Memory.Events["oom_kill"]; ok {
				out.number(kills)
			}
		}},
	}
}

func otherFamilies() []family {
	return []family{
		{"tasks", "gauge", "", "Processes and threads.", func(s *cgroups.Stats, out *series) {
			if s.Pids.Current > 0 {
				out.number(s.Pids.Current)
			}
		}},
		{"tasks_limit", "gauge", "", "Limit of processes and threads; absent if there is none.", func(s *cgroups.Stats, out *series) {
			if s.Pids.Limit > 0 && s.Pids.Limit < math.MaxInt64 {
				out.number(s.Pids.Limit)
			}
		}},
		{"io_bytes", "counter", "bytes", "Bytes read from and written to block devices.", func(s *cgroups.Stats, out *series) {
			transfers(out, s.Blkio.IoServiceBytesRecursive)
		}},
		{"io_operations", "counter", "", "Reads from and writes to block devices.", func(s *cgroups.Stats, out *series) {
			transfers(out, s.Blkio.IoServicedRecursive)
		}},
		{"hugetlb_usage_bytes", "gauge", "bytes", "Huge pages in use or reserved.", func(s *cgroups.Stats, out *series) {
			for _, size := range slices.Sorted(maps.Keys(s.Hugetlb)) {
				out.number(s.Hugetlb[size].Usage, "pagesize", size)
			}
		}},
		{"pressure_stalled_seconds", "counter", "seconds", "Time for which some or all tasks waited for a resource.", func(s *cgroups.Stats, out *series) {
			for _, r := range [...]struct {
				name string
				psi  *cgroups.PSI
			}{{"cpu", s.CPU.PSI}, {"io", s.Blkio.PSI}, {"memory", s.Memory.PSI}} {
				if r.psi != nil {
					out.seconds(r.psi.Some.Total, microseconds, "resource", r.name, "tasks", "some")
					out.seconds(r.psi.Full.Total, microseconds, "resource", r.name, "tasks", "all")
				}
			}
		}},
	}
}

// transfers are the reads and writes of each device.
func transfers(out *series, entries []cgroups.BlkioEntry) {
	for _, e := range entries {
		device := strconv.FormatUint(e.Major, 10) + ":" + strconv.FormatUint(e.Minor, 10)
		switch e.Op {
		case "Read":
			out.number(e.Value, "device", device, "operation", "read")
		case "Write":
			out.number(e.Value, "device", device, "operation", "write")
		}
	}
}
