package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Limit is a resource limit as the kernel's files have it.
type Limit struct{ controller, v1, v2 string }

// Limits that scenarios look at.
var (
	MemoryLimit       = Limit{"memory", "memory.limit_in_bytes", "memory.max"}
	MemoryReservation = Limit{"memory", "memory.soft_limit_in_bytes", "memory.low"}
	OOMControl        = Limit{"memory", "memory.oom_control", ""}
	ReadBps           = Limit{"blkio", "blkio.throttle.read_bps_device", "io.max"}
	CPUQuota          = Limit{"cpu", "cpu.cfs_quota_us", "cpu.max"}
	CPUShares         = Limit{"cpu", "cpu.shares", "cpu.weight"}
	CPUSet            = Limit{"cpuset", "cpuset.cpus", "cpuset.cpus"}
	PidsLimit         = Limit{"pids", "pids.max", "pids.max"}
)

// named is what the cell's cgroups call a controller of version 1.
func (c Cgroups) named(controller string) string {
	if c == V2 && controller == "blkio" {
		return "io"
	}
	return controller
}

// Has tells whether this cell's cgroups have the controller, given by its name in version 1.
func (c *Cell) Has(controller string) bool {
	controller = c.Cgroups.named(controller)
	if c.Cgroups != V2 {
		_, err := os.Stat(filepath.Join(cgroupRoot, controller))
		return err == nil
	}
	text, _ := os.ReadFile(c.Inside(filepath.Join(cgroupRoot, "cgroup.controllers")))
	return slices.Contains(strings.Fields(string(text)), controller)
}

// Needs skips the scenario in cgroups without the controller.
func (s *S) Needs(controller string) {
	if !s.Has(controller) {
		s.Skipf("cgroup %s has no %s controller here", s.Cgroups, s.Cgroups.named(controller))
	}
}

// Limit reads what's in force for a process, given by its pid inside of the cell.
func (s *S) Limit(pid string, limit Limit) string {
	s.Needs(limit.controller)
	for line := range strings.SplitSeq(s.Must("cat", "/proc/"+pid+"/cgroup"), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		file := ""
		switch {
		case s.Cgroups == V2 && f[1] == "":
			file = filepath.Join(cgroupRoot, f[2], limit.v2)
		case s.Cgroups != V2 && slices.Contains(strings.Split(f[1], ","), limit.controller):
			file = filepath.Join(cgroupRoot, f[1], f[2], limit.v1)
		default:
			continue
		}
		return strings.TrimSpace(s.Must("cat", file))
	}
	s.Fatalf("process %s is in no cgroup of %s", pid, limit.controller)
	return ""
}
