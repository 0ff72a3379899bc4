package cgroups

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// value reads a file of the group that has a version 1 controller, else of the unified one.
func value(t *testing.T, m Manager, controller, v1, v2 string) string {
	t.Helper()
	g, name := m.(*manager).v1(controller), v1
	if g == nil {
		g, name = m.(*manager).unified(), v2
	}
	s, err := g.read(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

func TestMemoryHogIsKilledAndReported(t *testing.T) {
	needController(t, "memory")
	const limit = 16 << 20
	m := newManager(t, Config{Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](limit), Swap: ptr[int64](limit)}}})
	mustCreate(t, m)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ooms, err := m.OOM(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t, m)
	s.tell("x=0123456789abcdef; while :; do x=$x$x; done")
	select {
	case _, ok := <-ooms:
		if !ok {
			t.Fatal("the channel was closed before the OOM kill")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no OOM event")
	}
	for range s.out {
	}
	status := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("the hog ended with %v", s.cmd.ProcessState)
	}
	stats, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.Memory.Events["oom_kill"] == 0 || stats.Memory.Usage.Limit != limit || stats.Memory.Usage.Max < limit/2 {
		t.Errorf("memory statistics: %+v, events %v", stats.Memory.Usage, stats.Memory.Events)
	}
	cancel()
	select {
	case _, ok := <-ooms:
		for ok {
			_, ok = <-ooms
		}
	case <-time.After(5 * time.Second):
		t.Error("the channel stayed open after its context's end")
	}
}

// TestOOMChannelEndsWithTheCgroup: somebody who prints events is to stop by himself.
func TestOOMChannelEndsWithTheCgroup(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	s := newShell(t, m)
	ooms, err := m.OOM(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case _, ok := <-ooms:
		t.Fatalf("event (%v) without an OOM", ok)
	case <-time.After(50 * time.Millisecond):
	}
	_ = s.cmd.Process.Kill()
	for range s.out {
	}
	if err := m.Destroy(); err != nil {
		t.Fatal(err)
	}
	select {
	case _, ok := <-ooms:
		if ok {
			t.Error("an OOM was reported")
		}
	case <-time.After(5 * time.Second):
		t.Error("the channel is open though the cgroup is gone")
	}
}

func TestForkBombStopsAtTheLimit(t *testing.T) {
	needController(t, "pids")
	m := newManager(t, Config{Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](8)}}})
	mustCreate(t, m)
	s := newShell(t, m)
	s.tell("i=0; while [ $i -lt 40 ]; do sleep 30 >/dev/null & i=$((i+1)); done; echo all")
	for line := range s.out { // dash ends when it can't fork
		t.Errorf("40 processes under a limit of 8: %q", line)
	}
	list, err := m.Pids(true)
	if err != nil || len(list) == 0 || len(list) > 8 {
		t.Errorf("%d processes, %v", len(list), err)
	}
	stats, err := m.Stats()
	if err != nil || stats.Pids.Limit != 8 || stats.Pids.Current > 8 {
		t.Errorf("%+v, %v", stats.Pids, err)
	}
}

// TestQuota measures that a busy loop gets 20% of a CPU.
func TestQuota(t *testing.T) {
	needController(t, "cpu")
	if detect(t).V1Controller("cpu") != nil {
		needController(t, "cpuacct") // to measure by; cgroup v2 measures always
	}
	m := newManager(t, Config{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](1 << 18), Quota: ptr[int64](20000), Period: ptr[uint64](100000)}}})
	mustCreate(t, m)
	s := newShell(t, m)
	stats := func() CPU {
		stats, err := m.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return stats.CPU
	}
	s.tell("while :; do :; done")
	time.Sleep(200 * time.Millisecond)
	// However busy the host is: enough periods in which the quota was used up.
	start, before := time.Now(), stats()
	after := before
	for after.Throttling.ThrottledPeriods < before.Throttling.ThrottledPeriods+10 {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("a busy loop isn't throttled: %+v", after)
		}
		time.Sleep(100 * time.Millisecond)
		after = stats()
	}
	used := time.Duration(after.Usage.Total - before.Usage.Total)
	share := used.Seconds() / time.Since(start).Seconds()
	t.Logf("%.1f%% of a CPU under a quota of 20%%", 100*share)
	if share > 0.25 || used < 10*15*time.Millisecond {
		t.Errorf("%v, %.1f%% of a CPU, under a quota of 20%%", used, 100*share)
	}
	if after.Throttling.ThrottledTime == 0 {
		t.Errorf("throttling %+v", after.Throttling)
	}
}

func TestCreateSetsWhatIsAsked(t *testing.T) {
	for _, c := range []struct {
		controller, v1, v2 string
		res                string
		want, wantV2       string
	}{
		{"memory", "memory.limit_in_bytes", "memory.max", `{"memory":{"limit":33554432}}`, "33554432", "33554432"},
		{"memory", "memory.soft_limit_in_bytes", "memory.low", `{"memory":{"reservation":16777216}}`, "16777216", "16777216"},
		{"memory", "memory.swappiness", "", `{"memory":{"swappiness":10}}`, "10", ""},
		{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max", `{"memory":{"limit":33554432,"swap":50331648}}`, "50331648", "16777216"},
		{"memory", "memory.oom_control", "", `{"memory":{"disableOOMKiller":true}}`, "oom_kill_disable 1", ""},
		{"cpu", "cpu.rt_runtime_us", "", `{"cpu":{"realtimePeriod":1000000,"realtimeRuntime":5000}}`, "5000", ""},
		{"cpu", "cpu.shares", "cpu.weight", `{"cpu":{"shares":2048}}`, "2048", "174"},
		{"cpu", "cpu.cfs_burst_us", "cpu.max.burst", `{"cpu":{"quota":50000,"burst":40000}}`, "40000", "40000"},
		{"cpu", "cpu.cfs_period_us", "", `{"cpu":{"quota":10000,"period":20000}}`, "20000", ""},
		{"cpu", "cpu.idle", "cpu.idle", `{"cpu":{"idle":1}}`, "1", "1"},
		{"cpuset", "cpuset.cpus", "cpuset.cpus", `{"cpu":{"cpus":"0"}}`, "0", "0"},
		{"pids", "pids.max", "pids.max", `{"pids":{"limit":99}}`, "99", "99"},
		{"blkio", "blkio.bfq.weight", "io.bfq.weight", `{"blockIO":{"weight":123}}`, "123", "default 123"},
		{"blkio", "blkio.throttle.read_bps_device", "io.max", `{"blockIO":{"throttleReadBpsDevice":[{"major":7,"minor":0,"rate":1048576}]}}`, "7:0 1048576", "7:0 rbps=1048576 wbps=max riops=max wiops=max"},
	} {
		t.Run(c.v1, func(t *testing.T) {
			needController(t, c.controller)
			if detect(t).V1Controller(c.controller) == nil {
				if c.v2 == "" {
					t.Skipf("needs a hierarchy of version 1 with the %s controller: version 2 has no such limit", c.controller)
				}
				c.want = c.wantV2
			}
			var res specs.LinuxResources
			if err := json.Unmarshal([]byte(c.res), &res); err != nil {
				t.Fatal(err)
			}
			if res.BlockIO != nil && len(res.BlockIO.ThrottleReadBpsDevice) > 0 {
				if _, err := os.Stat("/dev/loop0"); err != nil {
					t.Skip("no block device 7:0 here")
				}
			}
			m := newManager(t, Config{Resources: &res})
			err := m.Create()
			if res.BlockIO != nil && deref(res.BlockIO.Weight) != 0 && errors.Is(err, os.ErrNotExist) && !weighsIO(t) {
				t.Skip("this kernel schedules no I/O by weight (CONFIG_BLK_CGROUP_IOCOST or CONFIG_BFQ_GROUP_IOSCHED)")
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.v2 == "io.bfq.weight" && detect(t).V1Controller("blkio") == nil {
				if _, err := os.Stat(m.Paths()[""] + "/io.bfq.weight"); err != nil {
					c.v2, c.want = "io.weight", "default 1142" // the same share of that file's 1 to 10000
				}
			}
			if got, _, _ := strings.Cut(value(t, m, c.controller, c.v1, c.v2), "\n"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// weighsIO tells that cgroups must have a file for weights of I/O.
func weighsIO(t *testing.T) bool {
	t.Helper()
	l := detect(t)
	v1 := l.V1Controller("blkio")
	if v1 == nil {
		_, err := os.Stat(l.Unified + "/io.cost.qos") // of the root only, beside io.weight in the others
		return err == nil
	}
	dir, err := os.MkdirTemp(v1.Mountpoint, "davit-test-weight-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}()
	weights, err := filepath.Glob(dir + "/blkio*.weight")
	return err == nil && len(weights) > 0
}

// TestHugepages: this controller is in the unified hierarchy on hybrid hosts.
func TestHugepages(t *testing.T) {
	needRoot(t)
	needController(t, "hugetlb")
	l := detect(t)
	if l.Unified != "" {
		control := l.Unified + "/cgroup.subtree_control"
		before, err := os.ReadFile(control)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(before), "hugetlb") {
			t.Cleanup(func() {
				if err := os.WriteFile(control, []byte("-hugetlb"), 0); err != nil {
					t.Error(err)
				}
			})
		}
	}
	m := newManager(t, Config{Path: "davit-test/huge/c", Resources: &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}})
	mustCreate(t, m)
	for _, f := range [...][2]string{{"hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"}, {"hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max"}} {
		if got := value(t, m, "hugetlb", f[0], f[1]); got != strconv.Itoa(4<<20) {
			t.Errorf("%v: %s", f, got)
		}
	}
	stats, err := m.Stats()
	if _, ok := stats.Hugetlb["2MB"]; err != nil || !ok {
		t.Errorf("%+v, %v", stats.Hugetlb, err)
	}
	if err := m.Destroy(); err != nil {
		t.Fatal(err)
	}
	err = newManager(t, Config{Resources: &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}}}).Create()
	if err == nil || !strings.Contains(err.Error(), "linux.resources.hugepageLimits[0]: ") {
		t.Errorf("a page size that doesn't exist: %v", err)
	}
}

// TestAbsentController: the error names controller, field and reason, and nothing is left.
func TestAbsentController(t *testing.T) {
	l := detect(t)
	if l.Mode != V2 {
		t.Skip("for a host with cgroup v2 alone")
	}
	have, err := os.ReadFile(l.Unified + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(have), "memory") {
		t.Skip("this host's cgroup v2 has the memory controller")
	}
	m := newManager(t, Config{Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 24)}}})
	err = m.Create()
	var absent *ControllerError
	if !errors.As(err, &absent) || absent.Controller != "memory" || absent.Field != "linux.resources.memory.limit" {
		t.Fatalf("Create = %v", err)
	}
	if want := "linux.resources.memory.limit: the memory controller is not available on this host's cgroup v2 (it is bound to cgroup v1); "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(m.Paths()[""]); err == nil {
		t.Error("the cgroup was left")
	}
}

func TestBadLimitLeavesNothing(t *testing.T) {
	needController(t, "cpuset")
	m := newManager(t, Config{Path: "davit-test-bad/a/b", Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "4096"}}})
	err := m.Create()
	var failed *WriteError
	if !errors.As(err, &failed) || failed.Field != "linux.resources.cpu.cpus" || !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ERANGE) {
		t.Fatalf("Create = %v", err)
	}
	for c, dir := range m.Paths() {
		parent := strings.TrimSuffix(dir, "/davit/davit-test-bad/a/b")
		if _, err := os.Stat(parent + "/davit"); err == nil {
			t.Errorf("%q: %s/davit was left", c, parent)
		}
	}
}

func TestStatsJSON(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	newShell(t, m).ask("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done")
	stats, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.CPU.Usage.Total == 0 || stats.CPU.Usage.Total > uint64(time.Minute) {
		t.Errorf("CPU usage %d ns", stats.CPU.Usage.Total)
	}
	data, err := json.Marshal(stats)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", data)
	var tree map[string]map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"cpu usage", "cpu throttling", "cpuset cpu_exclusive", "memory usage", "memory swap", "memory kernel", "memory kernelTCP"} {
		object, key, _ := strings.Cut(path, " ")
		if _, ok := tree[object][key]; !ok {
			t.Errorf("no %s.%s", object, key)
		}
	}
	for _, key := range []string{"pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"} {
		if _, ok := tree[key]; !ok {
			t.Errorf("no %s", key)
		}
	}
	if detect(t).Unified != "" {
		if _, err := os.Stat("/proc/pressure/cpu"); err == nil && stats.CPU.PSI == nil {
			t.Error("no pressure information, though the kernel has it")
		}
	}
}
