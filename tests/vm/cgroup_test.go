package vm

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// resources sets linux.resources.
func resources(r specs.LinuxResources) harness.Edit {
	return func(s *specs.Spec) { s.Linux.Resources = &r }
}

// running makes a container that runs until the test's end.
func running(t *testing.T, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	s := harness.New(t, append([]harness.Edit{harness.Args("/bin/sleep", "1000")}, edits...)...)
	t.Cleanup(s.Delete)
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	return s
}

// execute runs a shell script in the container, which has to succeed.
func execute(s *harness.Sandbox, script string) string {
	s.T.Helper()
	r := s.Davit("exec", s.ID, "/bin/sh", "-c", script)
	r.Succeeds()
	return r.Stdout()
}

// cgroupFile reads a file of the container's cgroup.
func cgroupFile(s *harness.Sandbox, name string) string {
	s.T.Helper()
	data, err := os.ReadFile("/sys/fs/cgroup/" + s.ID + "/" + name)
	if err != nil {
		s.T.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// stats is the part of `davit events --stats` that these tests look at.
type stats struct {
	CPU struct {
		Usage      struct{ Total uint64 }
		Throttling struct {
			ThrottledPeriods uint64 `json:"throttledPeriods"`
		}
		PSI *psi
	}
	Memory struct {
		Usage struct{ Limit, Usage, Max uint64 }
		PSI   *psi
	}
	Pids  struct{ Current, Limit uint64 }
	Blkio struct {
		Bytes []struct {
			Op    string
			Value uint64
		} `json:"ioServiceBytesRecursive"`
		PSI *psi
	}
	Hugetlb map[string]struct{ Usage, Max, Failcnt uint64 }
}

type psi struct {
	Some struct{ Total uint64 }
}

func readStats(s *harness.Sandbox) *stats {
	s.T.Helper()
	r := s.Davit("events", "--stats", s.ID)
	r.Succeeds()
	event := struct {
		Type, ID string
		Data     stats
	}{}
	if err := json.Unmarshal([]byte(r.Stdout()), &event); err != nil || event.Type != "stats" || event.ID != s.ID {
		s.T.Fatalf("davit events --stats: %v\n%s", err, r.Stdout())
	}
	return &event.Data
}

const (
	mib = 1 << 20
	// hog takes far more memory than any limit of these tests.
	hog = "dd if=/dev/zero of=/dev/null bs=256M count=1"
)

func TestCgroupMemoryHogIsKilledAndReported(t *testing.T) {
	limit := harness.Pointer(int64(32 * mib))
	s := running(t, resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: limit, Swap: limit}}))
	events := s.Command("events", "--interval", "1h", s.ID)
	events.Begin()
	time.Sleep(200 * time.Millisecond) // for it to watch
	r := s.Davit("exec", s.ID, "/bin/sh", "-c", "exec "+hog)
	if r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("the hog's exit code is %d\n%s%s", r.Code, r.Stdout(), r.Stderr())
	}
	events.Written(`{"type":"oom","id":"` + s.ID + `"}`)
	if st := readStats(s); st.Memory.Usage.Limit != 32*mib || st.Memory.Usage.Max < 30*mib || st.Memory.Usage.Max > 32*mib {
		t.Errorf("memory statistics: %+v", st.Memory.Usage)
	}
	s.Delete()
	events.End().Succeeds()

	first := harness.New(t, resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: limit, Swap: limit}}))
	if r := first.Run(harness.Shell("exec " + hog)); r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("the exit code of a container that ran out of memory is %d\n%s", r.Code, r.Stderr())
	}
}

func TestCgroupForkBombStops(t *testing.T) {
	s := running(t, resources(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(20))}}))
	r := s.Davit("exec", s.ID, "/bin/sh", "-c", "i=0; while [ $i -lt 60 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done")
	if r.Code == 0 || !strings.Contains(r.Stderr(), "fork") {
		t.Errorf("60 processes under a limit of 20: exit code %d\n%s", r.Code, r.Stderr())
	}
	if st := readStats(s); st.Pids.Limit != 20 || st.Pids.Current < 18 || st.Pids.Current > 20 {
		t.Errorf("statistics %+v", st.Pids)
	}
	if n := cgroupFile(s, "pids.events"); n == "max 0" {
		t.Error("the limit was never reached")
	}
}

func TestCgroupQuotaOf20Percent(t *testing.T) {
	s := running(t, resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: harness.Pointer(int64(20000)), Period: harness.Pointer(uint64(100000))}}), harness.Shell("while :; do :; done"))
	time.Sleep(300 * time.Millisecond)
	begin, before := time.Now(), readStats(s)
	after := before
	for after.CPU.Throttling.ThrottledPeriods < before.CPU.Throttling.ThrottledPeriods+20 {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("a busy loop isn't throttled: %+v", after.CPU)
		}
		time.Sleep(100 * time.Millisecond)
		after = readStats(s)
	}
	share := float64(after.CPU.Usage.Total-before.CPU.Usage.Total) / float64(time.Since(begin))
	t.Logf("%.1f%% of a CPU", 100*share)
	if share > 0.25 || share < 0.1 {
		t.Errorf("%.1f%% of a CPU under a quota of 20%%", 100*share)
	}
	s.Davit("update", "--cpu-quota", "60000", s.ID).Succeeds()
	begin, before = time.Now(), readStats(s)
	time.Sleep(2 * time.Second)
	after = readStats(s)
	if share := float64(after.CPU.Usage.Total-before.CPU.Usage.Total) / float64(time.Since(begin)); share < 0.3 || share > 0.7 {
		t.Errorf("%.1f%% of a CPU after an update to 60%%", 100*share)
	}
}

// systemDisk is the device below the container's rootfs.
func systemDisk(t *testing.T) (major, minor int64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/etc", &st); err != nil {
		t.Fatal(err)
	}
	return int64(unix.Major(st.Dev)), int64(unix.Minor(st.Dev))
}

func TestCgroupIOThroughput(t *testing.T) {
	const rate = 2 * mib
	major, minor := systemDisk(t)
	throttle := specs.LinuxThrottleDevice{Rate: rate}
	throttle.Major, throttle.Minor = major, minor
	write := "dd if=/dev/zero of=/file bs=64k count=96 conv=fsync 2>/dev/null"
	free := running(t)
	begin := time.Now()
	execute(free, write)
	unbound := time.Since(begin)

	s := running(t, resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{throttle}}}))
	begin = time.Now()
	execute(s, write)
	bound := time.Since(begin)
	t.Logf("6 MiB in %v, under a limit of 2 MiB/s in %v", unbound, bound)
	if bound < 2*time.Second || bound < unbound {
		t.Errorf("6 MiB took %v under a limit of 2 MiB/s, and %v without", bound, unbound)
	}
	var written uint64
	for _, b := range readStats(s).Blkio.Bytes {
		if strings.EqualFold(b.Op, "write") {
			written += b.Value
		}
	}
	if written < 6*mib {
		t.Errorf("statistics count %d bytes written", written)
	}
}

func TestCgroupCpuset(t *testing.T) {
	s := running(t, resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "1", Mems: "0"}}))
	allowed := "grep Cpus_allowed_list /proc/self/status"
	if out := execute(s, allowed); out != "Cpus_allowed_list:\t1\n" {
		t.Errorf("with cpus 1: %q", out)
	}
	s.Davit("update", "--cpuset-cpus", "0", s.ID).Succeeds()
	if out := execute(s, allowed); out != "Cpus_allowed_list:\t0\n" {
		t.Errorf("after an update to 0: %q", out)
	}
	s.Davit("update", "--cpuset-cpus", "77", s.ID).Fails("cpus")
	if got := cgroupFile(s, "cpuset.cpus"); got != "0" {
		t.Errorf("after an update that failed: %q", got)
	}
}

func TestCgroupHugepages(t *testing.T) {
	pages := "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
	if err := os.WriteFile(pages, []byte("8"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(pages, []byte("0"), 0) })
	if n, err := os.ReadFile(pages); err != nil || string(n) != "8\n" {
		t.Fatalf("%q huge pages, %v", n, err)
	}
	s := running(t, resources(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 * mib}}}),
		harness.Mount(specs.Mount{Destination: "/huge", Type: "hugetlbfs", Source: "huge", Options: []string{"pagesize=2M"}}))
	execute(s, "fallocate -l 4194304 /huge/a")
	if r := s.Davit("exec", s.ID, "/bin/sh", "-c", "fallocate -l 2097152 /huge/b"); r.Code == 0 {
		t.Error("6 MiB of huge pages under a limit of 4 MiB")
	}
	if h := readStats(s).Hugetlb["2MB"]; h.Usage != 4*mib || h.Failcnt == 0 {
		t.Errorf("statistics: %+v", h)
	}
}

func TestCgroupFreezer(t *testing.T) {
	s := running(t, harness.Shell("i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.01; done"))
	count := func() string {
		data, err := os.ReadFile(s.Path("count"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	harness.Eventually(t, "the first count", func() bool { _, err := os.Stat(s.Path("count")); return err == nil })
	s.Davit("pause", s.ID).Succeeds()
	if got := cgroupFile(s, "cgroup.events"); !strings.Contains(got, "frozen 1") {
		t.Errorf("cgroup.events: %s", got)
	}
	before := count()
	time.Sleep(500 * time.Millisecond)
	if after := count(); after != before {
		t.Errorf("a paused container counted from %s to %s", before, after)
	}
	if st := s.State().Status; st != "paused" {
		t.Errorf("status %q", st)
	}
	s.Davit("exec", s.ID, "/bin/true").FailsWith(255, "paused")
	s.Davit("resume", s.ID).Succeeds()
	harness.Eventually(t, "it to count on", func() bool { return count() != before })
	s.Davit("pause", s.ID).Succeeds() // and what is paused can be deleted
}

func TestCgroupPressure(t *testing.T) {
	s := running(t, resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: harness.Pointer(int64(5000))}}),
		harness.Shell("while :; do :; done & while :; do :; done"))
	harness.Eventually(t, "processes that wait for the CPU", func() bool {
		p := readStats(s).CPU.PSI
		if p == nil {
			t.Fatal("no pressure in the statistics")
		}
		return p.Some.Total > 0
	})
	if st := readStats(s); st.Memory.PSI == nil || st.Blkio.PSI == nil {
		t.Error("no pressure of memory or io in the statistics")
	}
}

func TestCgroupUpdate(t *testing.T) {
	s := running(t, resources(specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: harness.Pointer(int64(64 * mib))}, CPU: &specs.LinuxCPU{Shares: harness.Pointer(uint64(1024))},
	}))
	s.Davit("update", "--memory", "48M", "--memory-swap", "96M", "--memory-reservation", "16M", "--pids-limit", "33", "--cpu-share", "512",
		"--cpu-quota", "30000", "--cpu-period", "50000", "--cpu-burst", "10000", s.ID).Succeeds()
	for file, want := range map[string]string{
		"memory.max": "50331648", "memory.swap.max": "50331648", "memory.low": "16777216", "pids.max": "33", "cpu.weight": "59",
		"cpu.max": "30000 50000", "cpu.max.burst": "10000",
	} {
		if got := cgroupFile(s, file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	// All or nothing.
	s.Davit("update", "--pids-limit", "44", "--cpuset-cpus", "77", s.ID).Fails("cpus")
	if got := cgroupFile(s, "pids.max"); got != "33" {
		t.Errorf("an update that failed left a limit of %s processes", got)
	}
	s.Davit("update", "--memory", "-1", "--memory-swap", "-1", "--cpu-quota", "-1", s.ID).Succeeds()
	if m, c := cgroupFile(s, "memory.max"), cgroupFile(s, "cpu.max"); m != "max" || c != "max 50000" {
		t.Errorf("unlimited is memory.max %s, cpu.max %s", m, c)
	}
}

func TestCgroupUnified(t *testing.T) {
	s := running(t, resources(specs.LinuxResources{Unified: map[string]string{"memory.high": "33554432", "memory.oom.group": "1", "pids.max": "50", "cpuset.cpus": "1"}}))
	for file, want := range map[string]string{"memory.high": "33554432", "memory.oom.group": "1", "pids.max": "50", "cpuset.cpus": "1"} {
		if got := cgroupFile(s, file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	for name, want := range map[string]string{"quark.max": "quark", "memory.quark": "memory.quark", "../x/pids.max": "unified"} {
		bad := harness.New(t, resources(specs.LinuxResources{Unified: map[string]string{name: "1"}}))
		bad.Run().Fails("linux.resources.unified", want)
	}
}

// cgroupMount is a mount of the container's own cgroup that it may write to.
func cgroupMount(s *specs.Spec) {
	for i := range s.Mounts {
		if s.Mounts[i].Destination == "/sys/fs/cgroup" {
			s.Mounts[i].Options = []string{"nosuid", "noexec", "nodev", "relatime", "rw"}
		}
	}
}

// Of a delegated cgroup the container's root owns the directory and the kernel's list of files, and can't change his limits (config-linux.md, "Cgroup ownership").
func TestCgroupDelegation(t *testing.T) {
	s := running(t, harness.UserNamespace(100000, 65536), cgroupMount, resources(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(30))}}))
	list, err := os.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		t.Fatal(err)
	}
	owned := append(strings.Fields(string(list)), ".")
	dir := "/sys/fs/cgroup/" + s.ID
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"."}, names(entries)...) {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		want := uint32(0)
		if slices.Contains(owned, name) {
			want = 100000
		}
		if st.Uid != want {
			t.Errorf("%s belongs to %d, want %d", name, st.Uid, want)
		}
	}
	out := execute(s, `cd /sys/fs/cgroup && mkdir init work && for p in $(cat cgroup.procs); do echo $p >init/cgroup.procs; done 2>/dev/null
		echo +pids >cgroup.subtree_control && echo 5 >work/pids.max && cat work/pids.max
		echo max 2>&1 >pids.max || echo refused`)
	if !strings.HasPrefix(out, "5\n") || !strings.HasSuffix(out, "refused\n") {
		t.Errorf("inside: %q", out)
	}
	// Processes that join find a cgroup that may hold none by now: another is chosen, or it is said which.
	r := s.Davit("exec", s.ID, "/bin/cat", "/proc/self/cgroup")
	if r.Code == 0 && !strings.Contains(r.Stdout(), "::/") || r.Code != 0 && !strings.Contains(r.Stderr(), "cgroup") {
		t.Errorf("exec afterwards: %d %s%s", r.Code, r.Stdout(), r.Stderr())
	}
}

func names(entries []os.DirEntry) []string {
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

// Without a PID namespace nothing ends the rest of a container by itself.
func TestCgroupKill(t *testing.T) {
	s := running(t, harness.WithoutNamespace(specs.PIDNamespace), cgroupMount,
		harness.Shell("cd /sys/fs/cgroup; for i in 1 2 3; do mkdir -p a/$i; (echo 0 >a/$i/cgroup.procs; exec sleep 1000) & (trap '' TERM; while :; do sleep 1; done) & done; sleep 1000"))
	harness.Eventually(t, "the processes in cgroups of their own", func() bool {
		for _, sub := range []string{"1", "2", "3"} {
			if data, err := os.ReadFile(fmt.Sprintf("/sys/fs/cgroup/%s/a/%s/cgroup.procs", s.ID, sub)); err != nil || len(data) == 0 {
				return false
			}
		}
		return true
	})
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	harness.Eventually(t, "the cgroup to be empty", func() bool { return strings.Contains(cgroupFile(s, "cgroup.events"), "populated 0") })
	s.WaitStatus(specs.StateStopped)
}
