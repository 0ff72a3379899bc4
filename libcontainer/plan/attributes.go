package plan

import (
	"encoding/binary"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups/cpuset"
	"davit/nsenter"
)

// schedAttr lays out struct sched_attr, sched_setattr(2).
func schedAttr(s *specs.Scheduler) ([]byte, error) {
	var policy uint32
	switch s.Policy {
	case specs.SchedOther, "":
		policy = 0
	case specs.SchedFIFO:
		policy = 1
	case specs.SchedRR:
		policy = 2
	case specs.SchedBatch:
		policy = 3
	case specs.SchedISO:
		policy = 4
	case specs.SchedIdle:
		policy = 5
	case specs.SchedDeadline:
		policy = 6
	default:
		return nil, fail("process.scheduler.policy", "unknown policy %q", s.Policy)
	}
	var flags uint64
	for i, f := range s.Flags {
		switch f {
		case specs.SchedFlagResetOnFork:
			flags |= 0x01
		case specs.SchedFlagReclaim:
			flags |= 0x02
		case specs.SchedFlagDLOverrun:
			flags |= 0x04
		case specs.SchedFlagKeepPolicy:
			flags |= 0x08
		case specs.SchedFlagKeepParams:
			flags |= 0x10
		case specs.SchedFlagUtilClampMin:
			flags |= 0x20
		case specs.SchedFlagUtilClampMax:
			flags |= 0x40
		default:
			return nil, fail(item("process.scheduler.flags", i, ""), "unknown flag %q", f)
		}
	}
	const size = 56 // SCHED_ATTR_SIZE_VER1
	a := make([]byte, 0, size)
	a = binary.NativeEndian.AppendUint32(a, size)
	a = binary.NativeEndian.AppendUint32(a, policy)
	a = binary.NativeEndian.AppendUint64(a, flags)
	a = binary.NativeEndian.AppendUint32(a, uint32(s.Nice))
	a = binary.NativeEndian.AppendUint32(a, uint32(s.Priority))
	a = binary.NativeEndian.AppendUint64(a, s.Runtime)
	a = binary.NativeEndian.AppendUint64(a, s.Deadline)
	a = binary.NativeEndian.AppendUint64(a, s.Period)
	return append(a, make([]byte, size-len(a))...), nil
}

// ioPriority is the value of ioprio_set(2): class and level.
func ioPriority(p *specs.LinuxIOPriority) (uint64, error) {
	var class uint64
	switch p.Class {
	case specs.IOPRIO_CLASS_RT:
		class = 1
	case specs.IOPRIO_CLASS_BE:
		class = 2
	case specs.IOPRIO_CLASS_IDLE:
		class = 3
	default:
		return 0, fail("process.ioPriority.class", "unknown class %q", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return 0, fail("process.ioPriority.priority", "%d is not between 0 and 7", p.Priority)
	}
	return class<<13 | uint64(p.Priority), nil
}

func personality(p *specs.LinuxPersonality) (uint64, error) {
	if len(p.Flags) > 0 {
		return 0, fail("linux.personality.flags", "no flag is supported (config-linux.md, Personality)")
	}
	switch p.Domain {
	case specs.PerLinux:
		return 0, nil
	case specs.PerLinux32:
		return 8, nil
	}
	return 0, fail("linux.personality.domain", "unknown domain %q", p.Domain)
}

// maxNode bounds the NUMA nodes of a memory policy; kernels are built for at most 1024.
const maxNode = 1023

func memoryPolicy(p *specs.LinuxMemoryPolicy) (nsenter.MemoryPolicy, error) {
	var op nsenter.MemoryPolicy
	switch p.Mode {
	case specs.MpolDefault:
		op.Mode = 0
	case specs.MpolPreferred:
		op.Mode = 1
	case specs.MpolBind:
		op.Mode = 2
	case specs.MpolInterleave:
		op.Mode = 3
	case specs.MpolLocal:
		op.Mode = 4
	case specs.MpolPreferredMany:
		op.Mode = 5
	case specs.MpolWeightedInterleave:
		op.Mode = 6
	default:
		return op, fail("linux.memoryPolicy.mode", "unknown mode %q", p.Mode)
	}
	for i, f := range p.Flags {
		switch f {
		case specs.MpolFStaticNodes:
			op.Mode |= 1 << 15
		case specs.MpolFRelativeNodes:
			op.Mode |= 1 << 14
		case specs.MpolFNumaBalancing:
			op.Mode |= 1 << 13
		default:
			return op, fail(item("linux.memoryPolicy.flags", i, ""), "unknown flag %q", f)
		}
	}
	var err error
	op.Nodes, err = bitmap("linux.memoryPolicy.nodes", p.Nodes, maxNode)
	return op, err
}

// bitmap turns a list such as "0-3,7" into a mask of longs; "" has none.
func bitmap(field, list string, highest int) ([]byte, error) {
	mask, err := cpuset.Mask(list, highest, 8)
	if err != nil {
		return nil, fail(field, "%q is no list of numbers up to %d such as 0-3,7: %s", list, highest, err)
	}
	return mask, nil
}

// rlimit returns the resource of setrlimit(2).
func rlimit(i int, name string) (uint64, error) {
	switch strings.TrimPrefix(name, "RLIMIT_") {
	case "CPU":
		return unix.RLIMIT_CPU, nil
	case "FSIZE":
		return unix.RLIMIT_FSIZE, nil
	case "DATA":
		return unix.RLIMIT_DATA, nil
	case "STACK":
		return unix.RLIMIT_STACK, nil
	case "CORE":
		return unix.RLIMIT_CORE, nil
	case "RSS":
		return unix.RLIMIT_RSS, nil
	case "NPROC":
		return unix.RLIMIT_NPROC, nil
	case "NOFILE":
		return unix.RLIMIT_NOFILE, nil
	case "MEMLOCK":
		return unix.RLIMIT_MEMLOCK, nil
	case "AS":
		return unix.RLIMIT_AS, nil
	case "LOCKS":
		return unix.RLIMIT_LOCKS, nil
	case "SIGPENDING":
		return unix.RLIMIT_SIGPENDING, nil
	case "MSGQUEUE":
		return unix.RLIMIT_MSGQUEUE, nil
	case "NICE":
		return unix.RLIMIT_NICE, nil
	case "RTPRIO":
		return unix.RLIMIT_RTPRIO, nil
	case "RTTIME":
		return unix.RLIMIT_RTTIME, nil
	}
	return 0, fail(item("process.rlimits", i, "")+".type", "unknown resource limit %q", name)
}
