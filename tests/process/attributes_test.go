package process

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// attributesOf runs the container's process, or one that joins it, and returns what it has got.
func attributesOf(s *harness.Sandbox, edit func(*specs.Process)) (viaRun, viaExec *harness.Result) {
	s.T.Helper()
	own := *s.Spec.Process
	edit(s.Spec.Process)
	s.Edit(harness.Args("/inside", "attributes"))
	viaRun = s.Run()
	*s.Spec.Process = own
	s.Edit(harness.Args("/bin/sleep", "1000"))
	start(s)
	viaExec = s.Davit("exec", "--process", processFile(s, "exec /inside attributes", edit), s.ID)
	s.Delete()
	return viaRun, viaExec
}

// The first process and one that joins get a policy with all that belongs to it.
func TestScheduler(t *testing.T) {
	t.Parallel()
	for _, c := range []specs.Scheduler{
		{Policy: specs.SchedOther, Nice: 7},
		{Policy: specs.SchedOther, Nice: -5},
		{Policy: specs.SchedBatch, Nice: 3},
		{Policy: specs.SchedIdle},
		{Policy: specs.SchedFIFO, Priority: 12},
		{Policy: specs.SchedRR, Priority: 99, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}},
		{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 2e7},
		{Policy: specs.SchedDeadline, Runtime: 1e6, Deadline: 1e7, Period: 1e7, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagReclaim, specs.SchedFlagDLOverrun}},
	} {
		t.Run(fmt.Sprint(c.Policy, c.Nice, c.Flags), func(t *testing.T) {
			t.Parallel()
			if !mayHave(c.Policy) {
				t.Skipf("this host refuses %s to the tests themselves", c.Policy)
			}
			s := harness.New(t, harness.Args("/bin/sleep", "1000"), realTimeBudget(c.Policy))
			s.Spec.Process.Scheduler = &c
			start(s)
			checkScheduler(t, "run", s.PID(), &c)
			s.Delete()
			s.Spec.Process.Scheduler = nil
			start(s)
			pidFile := filepath.Join(s.Dir, "pid")
			s.Davit("exec", "-d", "--pid-file", pidFile, "--process", processFile(s, "exec sleep 1000", func(p *specs.Process) { p.Scheduler = &c }), s.ID).Succeeds()
			checkScheduler(t, "exec", readPID(t, pidFile), &c)
			s.Delete()
		})
	}
}

// realTimeBudget lets a cgroup v1 have real-time processes (sched-rt-group.rst).
func realTimeBudget(policy specs.LinuxSchedulerPolicy) harness.Edit {
	return func(s *specs.Spec) {
		if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"); err == nil && (policy == specs.SchedFIFO || policy == specs.SchedRR) {
			s.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimePeriod: harness.Pointer(uint64(1e6)), RealtimeRuntime: harness.Pointer(int64(1e4))}}
		}
	}
}

func checkScheduler(t *testing.T, how string, pid int, want *specs.Scheduler) {
	t.Helper()
	got, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	policy := map[specs.LinuxSchedulerPolicy]uint32{specs.SchedOther: 0, specs.SchedFIFO: 1, specs.SchedRR: 2, specs.SchedBatch: 3, specs.SchedIdle: 5, specs.SchedDeadline: 6}[want.Policy]
	var flags uint64
	for _, f := range want.Flags {
		flags |= map[specs.LinuxSchedulerFlag]uint64{specs.SchedFlagResetOnFork: 1, specs.SchedFlagReclaim: 2, specs.SchedFlagDLOverrun: 4}[f]
	}
	if got.Policy != policy || got.Nice != want.Nice || got.Priority != uint32(want.Priority) || got.Flags != flags ||
		policy == 6 && (got.Runtime != want.Runtime || got.Deadline != want.Deadline || got.Period != want.Period) {
		t.Errorf("%s: the kernel has %+v, want %+v", how, got, want)
	}
}

// A refusal is an error that names the field.
func TestSchedulerRefused(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 9e9, Deadline: 9e9, Period: 9e9} // more than all CPU time
	s.Run().Fails("process.scheduler: sched_setattr: ")
}

// mayHave tells whether the kernel gives a policy to a thread of the test's own.
func mayHave(policy specs.LinuxSchedulerPolicy) bool {
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr}
	switch policy {
	case specs.SchedFIFO:
		attr.Policy, attr.Priority = unix.SCHED_FIFO, 1
	case specs.SchedRR:
		attr.Policy, attr.Priority = unix.SCHED_RR, 1
	case specs.SchedDeadline:
		attr.Policy, attr.Runtime, attr.Deadline = unix.SCHED_DEADLINE, 1e6, 1e7
	default:
		return true
	}
	result := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its policy
		result <- unix.SchedSetAttr(0, attr, 0) == nil
	}()
	return <-result
}

func TestIOPriority(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	installInside(s)
	for _, c := range []struct {
		class specs.IOPriorityClass
		level int
		want  string
	}{{specs.IOPRIO_CLASS_RT, 0, "ioprio=1/0"}, {specs.IOPRIO_CLASS_BE, 7, "ioprio=2/7"}, {specs.IOPRIO_CLASS_IDLE, 3, "ioprio=3/3"}} {
		run, exec := attributesOf(s, func(p *specs.Process) { p.IOPriority = &specs.LinuxIOPriority{Class: c.class, Priority: c.level} })
		for name, r := range map[string]*harness.Result{"run": run, "exec": exec} {
			if r.Code != 0 || !strings.Contains(r.Stdout(), c.want+"\n") {
				t.Errorf("%s: %s %d: %s %s", name, c.class, c.level, r.Stdout(), r.Stderr())
			}
		}
	}
}

const allowed = "grep Cpus_allowed_list: /proc/self/status"

func cpus(text string) string { return line(text, "Cpus_allowed_list:") }

// Where the caller happens to be bound to is not the container's business.
func TestInheritedAffinity(t *testing.T) {
	t.Parallel()
	taskset := harness.NeedTool(t, "taskset", "util-linux")
	if runtime.NumCPU() < 2 {
		t.Skip("needs two CPUs")
	}
	s := harness.New(t)
	all := cpus(s.Sh(allowed))
	if all == "0" || all == "" {
		t.Fatalf("a container may run on CPUs %q", all)
	}
	s.Prefix = []string{taskset, "-c", "0"}
	if got := cpus(s.Sh(allowed)); got != all {
		t.Errorf("run by a bound caller: CPUs %s, want %s", got, all)
	}
	s.Edit(harness.Args("/bin/sleep", "1000"))
	start(s)
	if got := cpus(execute(s, allowed)); got != all {
		t.Errorf("exec by a bound caller: CPUs %s, want %s", got, all)
	}
	s.Delete()
}

func TestExecCPUAffinity(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() < 2 {
		t.Skip("needs two CPUs")
	}
	s := running(t, func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "1"} })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if got := cpus(string(status)); got == "0" || got == "1" {
		t.Errorf("execCPUAffinity binds the container's own process to CPUs %s", got)
	}
	all := cpus(string(status))
	if got := cpus(execute(s, allowed)); got != "1" {
		t.Errorf("as configured for the container: CPUs %s, want 1", got)
	}
	for _, c := range []struct {
		affinity *specs.CPUAffinity
		want     string
	}{
		{nil, all}, {&specs.CPUAffinity{Final: "0"}, "0"}, {&specs.CPUAffinity{Initial: "1"}, "1"}, {&specs.CPUAffinity{Initial: "1", Final: "0-1"}, "0-1"},
		{&specs.CPUAffinity{Initial: "0", Final: " 0 , 1"}, "0-1"},
	} {
		file := processFile(s, allowed, func(p *specs.Process) { p.ExecCPUAffinity = c.affinity })
		r := s.Davit("exec", "--process", file, s.ID)
		if r.Code != 0 || cpus(r.Stdout()) != c.want {
			t.Errorf("%+v: CPUs %s, want %s; %s", c.affinity, cpus(r.Stdout()), c.want, r.Stderr())
		}
	}
	for _, a := range []specs.CPUAffinity{{Initial: "4000"}, {Final: "4000"}} {
		field := "process.execCPUAffinity.final"
		if a.Initial != "" {
			field = "process.execCPUAffinity.initial"
		}
		file := processFile(s, "true", func(p *specs.Process) { p.ExecCPUAffinity = &a })
		s.Davit("exec", "--process", file, s.ID).FailsWith(255, field, "invalid argument")
	}
}

func TestMemoryPolicy(t *testing.T) {
	t.Parallel()
	if _, _, errno := unix.Syscall(unix.SYS_GET_MEMPOLICY, 0, 0, 0); errno == unix.ENOSYS {
		t.Skip("this kernel has no NUMA support (CONFIG_NUMA)")
	}
	s := harness.New(t)
	installInside(s)
	static := []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}
	for _, c := range []struct {
		policy specs.LinuxMemoryPolicy
		want   string
	}{
		{specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, "mempolicy=0x0 nodes=0x0 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0"}, "mempolicy=0x1 nodes=0x1 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, "mempolicy=0x2 nodes=0x1 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: static}, "mempolicy=0x8002 nodes=0x1 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0-0"}, "mempolicy=0x3 nodes=0x1 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, "mempolicy=0x4 nodes=0x0 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0"}, "mempolicy=0x5 nodes=0x1 errno=0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolWeightedInterleave, Nodes: "0"}, "mempolicy=0x6 nodes=0x1 errno=0"},
	} {
		s.Spec.Linux.MemoryPolicy = &c.policy
		run, exec := attributesOf(s, func(*specs.Process) {})
		for name, r := range map[string]*harness.Result{"run": run, "exec": exec} {
			if r.Code != 0 || !strings.Contains(r.Stdout(), c.want+"\n") {
				t.Errorf("%s: %+v: %s %s, want %s", name, c.policy, r.Stdout(), r.Stderr(), c.want)
			}
		}
	}
	s.Spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "1000"}
	s.Run().Fails("linux.memoryPolicy", "invalid argument")
}

func TestExecPersonality(t *testing.T) {
	t.Parallel()
	s := running(t, func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} })
	installInside(s)
	if got := execute(s, "/inside attributes | grep personality"); got != "personality=0x8\n" {
		t.Errorf("a process that joins has %s", got)
	}
}

// scheduler unset leaves what is inherited, set it counts in full.
func TestInheritedNice(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/inside", "attributes"))
	installInside(s)
	s.Prefix = []string{harness.NeedTool(t, "nice", "coreutils"), "-n", "9"}
	if out := s.Output(); !strings.Contains(out, "policy=0 nice=9 ") {
		t.Errorf("unset, the caller's niceness is left: %s", out)
	}
	s.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther}
	if out := s.Output(); !strings.Contains(out, "policy=0 nice=0 ") {
		t.Errorf("SCHED_OTHER without nice: %s", out)
	}
}
