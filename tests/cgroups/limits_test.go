package cgroups

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// A memory hog is killed at its limit, and whoever watches the events is told.
func TestMemoryHogIsKilledAndReported(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"memory":{"limit":33554432,"swap":33554432}}`),
		harness.Shell("until [ -e /go ]; do sleep 0.02; done; x=0123456789abcdef; while :; do x=$x$x; done"))
	if !available(s, "memory", "memory") {
		return
	}
	begin(s)
	events := s.Command("events", "--interval", "50ms", s.ID)
	events.Begin()
	events.Written(`"type":"stats"`)
	s.WriteFile("/go", "", 0o644)
	events.Written(`"type":"oom"`)
	s.WaitStatus(specs.StateStopped)
	r := events.End() // by itself: the container has ended
	r.Succeeds()
	if want := fmt.Sprintf(`{"type":"oom","id":"%s"}`+"\n", s.ID); !strings.Contains(r.Stdout(), want) {
		t.Errorf("no line %s in\n%s", want, r.Stdout())
	}
	s.Delete()
	s.WriteFile("/go", "", 0o644)
	if r := s.Run(); r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("a hog in the foreground ends with exit code %d", r.Code)
	}
}

// A process that is too large for its limit to even start is told from one that somebody kills.
func TestKilledBeforeExecSaysByWhom(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"memory":{"limit":4096}}`))
	if available(s, "memory", "memory") {
		s.Run().Fails("container init was OOM-killed (memory limit too low?)")
		s.CheckHost()
	}
	s = harness.New(t)
	s.WriteFile("/kill", "#!/bin/sh\nread state; p=${state#*\\\"pid\\\":}; kill -9 ${p%%[,\\}]*}; sleep 0.2\n", 0o755)
	s.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: s.Path("kill"), Args: []string{"kill"}}}}
	r := s.Run()
	r.Fails("killed before its exec, by SIGKILL from outside")
	if strings.Contains(r.Stderr(), "OOM") {
		t.Errorf("a kill by a stranger is called out-of-memory: %s", r.Stderr())
	}
}

// A fork bomb stops at pids.limit, the container can be looked at and ended all the same.
func TestForkBombStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"pids":{"limit":24}}`), harness.Shell("f() { sleep 100 & f & f; }; f & exec sleep 100"))
	if !available(s, "pids", "pids") {
		return
	}
	begin(s)
	harness.Eventually(t, "the bomb to grow", func() bool { return look(s).Pids.Current >= 12 })
	for range 20 {
		if p := look(s).Pids; p.Limit != 24 || p.Current > 24 {
			t.Fatalf("%d processes under the limit %d", p.Current, p.Limit)
		}
	}
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
}

// pids.limit 0 was none before version 1.3; since then it is one, the smallest that lets the init run.
func TestPidsLimitZero(t *testing.T) {
	t.Parallel()
	for version, limited := range map[string]bool{"1.2.1": false, "1.3.0": true} {
		s := harness.New(t, resources(t, `{"pids":{"limit":0}}`), harness.Shell("(true) && echo forked"))
		s.Spec.Version = version
		if !limited {
			if out := s.Output(); out != "forked\n" {
				t.Errorf("%s: %q", version, out)
			}
			continue
		}
		if !available(s, "pids", "pids") {
			continue
		}
		if r := s.Run(); strings.Contains(r.Stdout(), "forked") || !strings.Contains(r.Stderr(), "fork") {
			t.Errorf("%s: a second process ran, or the first didn't: %s%s", version, r.Stdout(), r.Stderr())
		}
	}
}

// A busy loop gets the 20% of a CPU that its quota grants, measured by what cpuacct counts.
// Its weight is the largest, so that a busy host leaves it that much.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"cpu":{"shares":262144,"quota":20000,"period":100000}}`), harness.Shell("while :; do :; done"))
	if !available(s, "cpu", "cpu") {
		return
	}
	begin(s)
	time.Sleep(200 * time.Millisecond)
	start, before := time.Now(), look(s)
	after := before
	harness.Eventually(t, "the quota to be used up in ten periods", func() bool {
		time.Sleep(100 * time.Millisecond)
		after = look(s)
		return after.CPU.Throttling.ThrottledPeriods >= before.CPU.Throttling.ThrottledPeriods+10
	})
	used := time.Duration(after.CPU.Usage.Total - before.CPU.Usage.Total)
	share := used.Seconds() / time.Since(start).Seconds()
	t.Logf("%.1f%% of a CPU, %d of %d periods throttled", 100*share, after.CPU.Throttling.ThrottledPeriods, after.CPU.Throttling.Periods)
	if share > 0.24 || used < 100*time.Millisecond || after.CPU.Throttling.ThrottledTime == 0 {
		t.Errorf("%v, %.1f%% of a CPU under a quota of 20%%: %+v", used, 100*share, after.CPU.Throttling)
	}
	s.Delete()
}

func TestCpusetBinds(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"cpu":{"cpus":"0","mems":"0"}}`), harness.Shell("grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status"))
	if !available(s, "cpuset", "cpuset") {
		return
	}
	if out := strings.Fields(s.Output()); strings.Join(out, " ") != "Cpus_allowed_list: 0 Mems_allowed_list: 0" {
		t.Errorf("%q", out)
	}
	s.Run(resources(t, `{"cpu":{"cpus":"4095"}}`)).Fails("linux.resources.cpu.cpus: ")
}

// diskOf returns the whole disk that a file is on.
func diskOf(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%s is on no block device", path)
	}
	if _, err := os.Stat(dir + "/partition"); err == nil {
		dir += "/.."
	}
	return readFile(t, dir+"/dev")
}

// Reading 2 MiB at 1 MiB/s takes two seconds; and the bytes are counted.
func TestBlockIOThrottles(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.WriteFile("/data", strings.Repeat("0123456789abcde\n", 2<<20/16), 0o644)
	unix.Sync()
	var major, minor int64
	if _, err := fmt.Sscanf(diskOf(t, s.Path("data")), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	script := harness.Shell("dd if=/data of=/dev/null bs=65536 iflag=direct 2>/dev/null && echo read")
	fd, err := unix.Open(s.Path("data"), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err == unix.EINVAL {
		t.Skip("needs a filesystem for temporary files that can be read around the page cache (O_DIRECT)")
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if out := s.Output(script); out != "read\n" {
		t.Fatalf("%q", out)
	}
	s.Edit(resources(t, fmt.Sprintf(`{"blockIO":{"throttleReadBpsDevice":[{"major":%d,"minor":%d,"rate":1048576}]}}`, major, minor)))
	if !available(s, "blkio", "io") {
		return
	}
	start := time.Now()
	if out := s.Output(script); out != "read\n" {
		t.Errorf("%q", out)
	}
	took := time.Since(start)
	t.Logf("2 MiB at 1 MiB/s took %v", took)
	if took < 1500*time.Millisecond {
		t.Errorf("2 MiB at 1 MiB/s took %v", took)
	}
	begin(s)
	s.WaitStatus(specs.StateStopped)
	read, device := uint64(0), fmt.Sprintf("%d:%d", major, minor)
	if layout, err := harness.CurrentLayout(); err == nil && layout == harness.V2 {
		for line := range strings.Lines(readFile(t, directory(s, "io.stat")+"/io.stat")) {
			// 254:0 rbytes=2097152 wbytes=0 …
			if f := strings.Fields(line); len(f) > 1 && f[0] == device {
				read = number(t, strings.TrimPrefix(f[1], "rbytes="))
			}
		}
	} else {
		for line := range strings.Lines(readFile(t, directory(s, "blkio.throttle.io_service_bytes")+"/blkio.throttle.io_service_bytes")) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == device && f[1] == "Read" {
				read = number(t, f[2])
			}
		}
	}
	if read < 2<<20 {
		t.Errorf("%d bytes were counted", read)
	}
	s.Delete()
}

// Huge pages beyond the limit can't be had, those below can.
func TestHugepages(t *testing.T) {
	const spare = "/proc/sys/vm/nr_overcommit_hugepages"
	s := harness.New(t, resources(t, `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`), harness.Shell("until [ -e /go ]; do sleep 0.02; done; for n in 1 2 3; do fallocate -l 2097152 /huge/$n && echo $n; done 2>/dev/null; sleep 100"))
	if !available(s, "hugetlb", "hugetlb") {
		return
	}
	before := readFile(t, spare)
	writeFile(t, spare, fmt.Sprint(number(t, before)+8))
	t.Cleanup(func() { writeFile(t, spare, before) })
	s.Spec.Mounts = append(s.Spec.Mounts, specs.Mount{Destination: "/huge", Type: "hugetlbfs", Source: "hugetlbfs", Options: []string{"pagesize=2M"}})
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Begin()
	s.WaitStatus(specs.StateRunning)
	s.WriteFile("/go", "", 0o644)
	run.Written("1\n")
	time.Sleep(300 * time.Millisecond)
	h, ok := look(s).Hugetlb["2MB"]
	if !ok || h.Failcnt == 0 {
		t.Errorf("statistics %+v", h)
	}
	dir := directory(s, "hugetlb.2MB.rsvd.max")
	if got := readFile(t, dir+"/hugetlb.2MB.max") + " " + readFile(t, dir+"/hugetlb.2MB.rsvd.max"); got != "4194304 4194304" {
		t.Errorf("limits %s", got)
	}
	s.Delete()
	if out := run.End().Stdout(); out != "1\n2\n" {
		t.Errorf("of three pages under a limit of two the container got %q", out)
	}
	s.Run(resources(t, `{"hugepageLimits":[{"pageSize":"3MB","limit":0}]}`)).Fails("linux.resources.hugepageLimits[0]: ")
}

// What a layout can't give is an error that names the field, and says why; nothing is left.
func TestWhatCannotBeHad(t *testing.T) {
	t.Parallel()
	pure2 := !onV1("memory") && !onV1("cpu")
	for _, c := range []struct {
		res   string
		fails []string
		only  bool
	}{
		{`{"network":{"classID":1}}`, []string{"linux.resources.network.classID: the net_cls controller is not available"}, !onV1("net_cls")},
		{`{"network":{"priorities":[{"name":"lo","priority":1}]}}`, []string{"linux.resources.network.priorities[0]: the net_prio controller is not available"}, !onV1("net_prio")},
		{`{"rdma":{"mlx5_0":{"hcaHandles":1}}}`, []string{"linux.resources.rdma", "the rdma controller is not available"}, !onV1("rdma") && !onV2("rdma")},
		{`{"memory":{"swappiness":10}}`, []string{"linux.resources.memory.swappiness: cgroup v2 has no swappiness"}, pure2},
		{`{"memory":{"disableOOMKiller":true}}`, []string{"linux.resources.memory.disableOOMKiller: "}, pure2},
		{`{"cpu":{"realtimeRuntime":5000}}`, []string{"linux.resources.cpu.realtimeRuntime: cgroup v2"}, pure2},
		{`{"blockIO":{"leafWeight":100}}`, []string{"linux.resources.blockIO.leafWeight: cgroup v2"}, !onV1("blkio")},
		{`{"unified":{"memory.high":"1000000"}}`, []string{"linux.resources.unified.memory.high: "}, !onV2("memory")},
		{`{"unified":{"nothing.max":"1"}}`, []string{"linux.resources.unified.nothing.max: "}, true},
	} {
		if !c.only {
			continue
		}
		s := harness.New(t, resources(t, c.res))
		s.Run().Fails(c.fails...)
		s.CheckHost()
	}
}

// What engines send for "not set" is no limit, and needs no controller.
func TestUnsetValues(t *testing.T) {
	t.Parallel()
	for _, res := range []string{
		`{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0},"pids":{"limit":-1},"network":{}}`,
		`{"memory":{"limit":0,"swap":0,"reservation":0,"kernel":0,"swappiness":18446744073709551615},"cpu":{"shares":0,"quota":0,"period":0,"realtimePeriod":0,"realtimeRuntime":0,"cpus":"","mems":""},"blockIO":{"weight":0,"leafWeight":0}}`,
		`{"memory":{"limit":-1,"swap":-1},"cpu":{"quota":-1,"period":100000},"hugepageLimits":[],"unified":{},"rdma":{}}`,
		`{}`,
	} {
		s := harness.New(t, resources(t, res))
		s.Run().Succeeds()
	}
}

// A file of the unified hierarchy is written, its controller enabled; what doesn't exist isn't dropped.
func TestUnified(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"unified":{"cgroup.max.depth":"3","hugetlb.2MB.max":"2097152"}}`), harness.Args("/bin/sleep", "100"))
	if !onV2("hugetlb") {
		s.Run().Fails("linux.resources.unified")
		return
	}
	begin(s)
	dir := directory(s, "hugetlb.2MB.max")
	if got := readFile(t, dir+"/cgroup.max.depth") + " " + readFile(t, dir+"/hugetlb.2MB.max"); got != "3 2097152" {
		t.Errorf("%s", got)
	}
	s.Delete()
}
