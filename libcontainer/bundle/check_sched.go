package bundle

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups/cpuset"
)

// scheduler applies the rules of sched_setattr(2).
func (c *checker) scheduler(process *path, s *specs.Scheduler) {
	if s == nil {
		return
	}
	at := process.member("scheduler")
	for i, flag := range s.Flags {
		if !isSchedFlag(flag) {
			flags := at.member("flags")
			c.failf(flags.at(i), "%q is not a scheduling flag", flag)
		}
	}
	if !c.schedPolicy(at.member("policy"), s.Policy) {
		return
	}
	if s.Nice < -20 || s.Nice > 19 {
		c.failf(at.member("nice"), "must be from -20 to 19, it is %d", s.Nice)
	}
	if slices.Contains(s.Flags, specs.SchedFlagKeepParams) {
		// The kernel then takes the parameters from the calling process.
		return
	}
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	switch {
	case realtime && (s.Priority < 1 || s.Priority > 99):
		c.failf(at.member("priority"), "must be from 1 to 99 for %s, it is %d", s.Policy, s.Priority)
	case !realtime && s.Priority != 0:
		c.failf(at.member("priority"), "%d has no meaning for %s", s.Priority, s.Policy).Hint =
			"SCHED_FIFO and SCHED_RR have priorities"
	}
	c.deadline(&at, s)
}

func (c *checker) schedPolicy(at path, policy specs.LinuxSchedulerPolicy) bool {
	switch policy {
	case specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedIdle, specs.SchedDeadline:
		return true
	case specs.SchedISO:
		// Its number is reserved (linux/sched.h), no kernel implements it.
		c.fail(at, "SCHED_ISO is not implemented by Linux")
	case "":
		c.fail(at, "must not be empty")
	default:
		c.failf(at, "%q is not a scheduling policy", policy)
	}
	return false
}

// minDeadlineRuntime is what the kernel's accounting resolves, in nanoseconds.
const minDeadlineRuntime = 1024

func (c *checker) deadline(at *path, s *specs.Scheduler) {
	values := [...]struct {
		member string
		value  uint64
	}{{"runtime", s.Runtime}, {"deadline", s.Deadline}, {"period", s.Period}}
	for _, v := range values {
		switch {
		case v.value != 0 && s.Policy != specs.SchedDeadline:
			c.failf(at.member(v.member), "has no meaning for %s", s.Policy).Hint = "it belongs to SCHED_DEADLINE"
		case v.value >= 1<<63:
			c.failf(at.member(v.member), "%d ns are more than the kernel takes", v.value)
		}
	}
	if s.Policy != specs.SchedDeadline {
		return
	}
	switch {
	case s.Runtime < minDeadlineRuntime:
		c.failf(at.member("runtime"), "must be at least %d ns, it is %d", minDeadlineRuntime, s.Runtime)
	case s.Deadline < s.Runtime:
		c.failf(at.member("deadline"), "%d ns are shorter than runtime, %d ns", s.Deadline, s.Runtime)
	case s.Period != 0 && s.Period < s.Deadline:
		c.failf(at.member("period"), "%d ns are shorter than deadline, %d ns", s.Period, s.Deadline)
	}
}

func isSchedFlag(flag specs.LinuxSchedulerFlag) bool {
	switch flag {
	case specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
		specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax:
		return true
	}
	return false
}

func (c *checker) ioPriority(process *path, p *specs.LinuxIOPriority) {
	if p == nil {
		return
	}
	at := process.member("ioPriority")
	switch p.Class {
	case specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE:
	case "":
		c.fail(at.member("class"), "must not be empty")
	default:
		c.failf(at.member("class"), "%q is not an I/O scheduling class", p.Class).Hint =
			"IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE"
	}
	if p.Priority < 0 || p.Priority > 7 {
		c.failf(at.member("priority"), "must be from 0 to 7, it is %d", p.Priority)
	}
}

// memoryPolicy applies the rules of set_mempolicy(2).
func (c *checker) memoryPolicy(linux *path, m *specs.LinuxMemoryPolicy) {
	if m == nil {
		return
	}
	at := linux.member("memoryPolicy")
	flags := at.member("flags")
	for i, flag := range m.Flags {
		switch flag {
		case specs.MpolFNumaBalancing, specs.MpolFRelativeNodes, specs.MpolFStaticNodes:
		default:
			c.failf(flags.at(i), "%q is not a flag of set_mempolicy(2)", flag)
		}
	}
	c.list(at.member("nodes"), "node", m.Nodes)

	has := func(flag specs.MemoryPolicyFlagType) bool { return slices.Contains(m.Flags, flag) }
	static, relative := has(specs.MpolFStaticNodes), has(specs.MpolFRelativeNodes)
	if static && relative {
		c.fail(flags, "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other")
	}
	if has(specs.MpolFNumaBalancing) && m.Mode != specs.MpolBind && m.Mode != specs.MpolPreferredMany {
		c.failf(flags, "MPOL_F_NUMA_BALANCING has no meaning for %q", m.Mode).Hint =
			"it belongs to MPOL_BIND and MPOL_PREFERRED_MANY"
	}
	switch m.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if m.Nodes != "" {
			c.failf(at.member("nodes"), "must be empty for %s", m.Mode)
		}
		if static || relative {
			c.failf(flags, "flags about nodes have no meaning for %s", m.Mode)
		}
	case specs.MpolPreferred:
		if m.Nodes == "" && (static || relative) {
			c.failf(flags, "flags about nodes have no meaning without nodes")
		}
	case specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave, specs.MpolPreferredMany:
		if m.Nodes == "" {
			c.failf(at.member("nodes"), "must not be empty for %s", m.Mode)
		}
	case "":
		c.fail(at.member("mode"), "must not be empty")
	default:
		c.failf(at.member("mode"), "%q is not a mode of set_mempolicy(2)", m.Mode)
	}
}

// list checks a list of CPUs or memory nodes as the spec writes them: "0-3,7".
// An empty string stands for a value that isn't given.
func (c *checker) list(at path, what, value string) {
	members := 0
	if err := cpuset.Each(value, func(int, int) { members++ }); err != nil {
		c.failf(at, "%q is not a list of %ss: %s", value, what, err).Hint = `for example "0-3,7"`
	} else if members == 0 && value != "" {
		c.failf(at, "%q is a list without a %s", value, what)
	}
}
