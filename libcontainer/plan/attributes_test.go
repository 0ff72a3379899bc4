package plan

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/nsenter"
)

// The numbers are the kernel's, include/uapi/asm-generic/resource.h.
func TestRlimitNumbers(t *testing.T) {
	for number, name := range []string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"} {
		if got, err := rlimit(0, "RLIMIT_"+name); err != nil || got != uint64(number) {
			t.Errorf("%s: %d (%v), want %d", name, got, err, number)
		}
	}
	for _, name := range []string{"", "RLIMIT_", "RLIMIT_X", "rlimit_cpu"} {
		if _, err := rlimit(3, name); !named(t, err) || err.(*Error).Field != "process.rlimits[3].type" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// sched_setattr(2), struct sched_attr; the policies and flags are those of include/uapi/linux/sched.h.
func TestSchedulerLayout(t *testing.T) {
	attr, err := schedAttr(&specs.Scheduler{Policy: specs.SchedDeadline, Nice: -5, Priority: 7, Runtime: 1 << 40, Deadline: 2 << 40, Period: 3 << 40,
		Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagReclaim, specs.SchedFlagUtilClampMax}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Size, Policy              uint32
		Flags                     uint64
		Nice, Priority            int32
		Runtime, Deadline, Period uint64
		UtilMin, UtilMax          uint32
	}
	if err := binary.Read(bytes.NewReader(attr), binary.NativeEndian, &got); err != nil {
		t.Fatal(err)
	}
	want := got
	want.Size, want.Policy, want.Flags, want.Nice, want.Priority, want.Runtime, want.Deadline, want.Period = 56, 6, 0x42, -5, 7, 1<<40, 2<<40, 3<<40
	if got != want || len(attr) != 56 {
		t.Errorf("%d bytes: %+v, want %+v", len(attr), got, want)
	}
	for policy, number := range map[specs.LinuxSchedulerPolicy]uint32{specs.SchedOther: 0, specs.SchedFIFO: 1, specs.SchedRR: 2, specs.SchedBatch: 3, specs.SchedISO: 4, specs.SchedIdle: 5, specs.SchedDeadline: 6} {
		if a, err := schedAttr(&specs.Scheduler{Policy: policy}); err != nil || binary.NativeEndian.Uint32(a[4:]) != number {
			t.Errorf("%s: %v (%v), want %d", policy, a, err, number)
		}
	}
	for i, flag := range []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax} {
		if a, err := schedAttr(&specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{flag}}); err != nil || binary.NativeEndian.Uint64(a[8:]) != 1<<i {
			t.Errorf("%s: %v (%v), want bit %d", flag, a, err, i)
		}
	}
	if _, err := schedAttr(&specs.Scheduler{Policy: "SCHED_X"}); !named(t, err) {
		t.Error("SCHED_X is a policy")
	}
	if _, err := schedAttr(&specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{"X"}}); !named(t, err) {
		t.Error("X is a flag")
	}
}

// ioprio_set(2): the class in the bits from 13 on.
func TestIOPriority(t *testing.T) {
	for class, want := range map[specs.IOPriorityClass]uint64{specs.IOPRIO_CLASS_RT: 0x2003, specs.IOPRIO_CLASS_BE: 0x4003, specs.IOPRIO_CLASS_IDLE: 0x6003} {
		if got, err := ioPriority(&specs.LinuxIOPriority{Class: class, Priority: 3}); err != nil || got != want {
			t.Errorf("%s: %#x (%v), want %#x", class, got, err, want)
		}
	}
	for _, p := range []specs.LinuxIOPriority{{}, {Class: "X"}, {Class: specs.IOPRIO_CLASS_BE, Priority: 8}, {Class: specs.IOPRIO_CLASS_BE, Priority: -1}} {
		if _, err := ioPriority(&p); !named(t, err) {
			t.Errorf("%+v is taken", p)
		}
	}
}

// set_mempolicy(2), include/uapi/linux/mempolicy.h.
func TestMemoryPolicy(t *testing.T) {
	modes := []specs.MemoryPolicyModeType{specs.MpolDefault, specs.MpolPreferred, specs.MpolBind, specs.MpolInterleave, specs.MpolLocal, specs.MpolPreferredMany, specs.MpolWeightedInterleave}
	for number, mode := range modes {
		if op, err := memoryPolicy(&specs.LinuxMemoryPolicy{Mode: mode}); err != nil || op.Mode != uint64(number) || op.Nodes != nil {
			t.Errorf("%s: %+v (%v), want %d", mode, op, err, number)
		}
	}
	op, err := memoryPolicy(&specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0-2,64", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes, specs.MpolFRelativeNodes, specs.MpolFNumaBalancing}})
	want := nsenter.MemoryPolicy{Mode: 0xe002, Nodes: []byte{7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}}
	if err != nil || op.Mode != want.Mode || !bytes.Equal(op.Nodes, want.Nodes) {
		t.Errorf("%+v (%v), want %+v", op, err, want)
	}
	for _, p := range []specs.LinuxMemoryPolicy{{}, {Mode: "X"}, {Mode: specs.MpolBind, Flags: []specs.MemoryPolicyFlagType{"X"}},
		{Mode: specs.MpolBind, Nodes: "1024"}, {Mode: specs.MpolBind, Nodes: "3-1"}, {Mode: specs.MpolBind, Nodes: "-1"}, {Mode: specs.MpolBind, Nodes: "1,-,2"}} {
		if _, err := memoryPolicy(&p); !named(t, err) {
			t.Errorf("%+v is taken", p)
		}
	}
}

func TestPersonality(t *testing.T) {
	for domain, want := range map[specs.LinuxPersonalityDomain]uint64{specs.PerLinux: 0, specs.PerLinux32: 8} {
		if got, err := personality(&specs.LinuxPersonality{Domain: domain}); err != nil || got != want {
			t.Errorf("%s: %d (%v), want %d", domain, got, err, want)
		}
	}
	for _, p := range []specs.LinuxPersonality{{}, {Domain: "X"}, {Domain: specs.PerLinux, Flags: []specs.LinuxPersonalityFlag{"X"}}} {
		if _, err := personality(&p); !named(t, err) {
			t.Errorf("%+v is taken", p)
		}
	}
}
