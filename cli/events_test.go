package cli

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups"
)

// TestEventFields fixes names and order of the fields: engines have copies of this format.
func TestEventFields(t *testing.T) {
	psi := &cgroups.PSI{Some: cgroups.PSIData{Avg10: 1.5, Avg60: 1, Avg300: 0.5, Total: 7}}
	entry := []cgroups.BlkioEntry{{Major: 8, Minor: 1, Op: "Read", Value: 9}}
	memory := cgroups.MemoryEntry{Limit: math.MaxUint64, Usage: 1, Max: 2, Failcnt: 3}
	b, err := json.Marshal(&event{eventStats, "web", &cgroups.Stats{
		CPU:    cgroups.CPU{Usage: cgroups.CPUUsage{Total: 1, Percpu: []uint64{1}, PercpuKernel: []uint64{2}, PercpuUser: []uint64{3}, Kernel: 4, User: 5}, Throttling: cgroups.Throttling{Periods: 1, ThrottledPeriods: 2, ThrottledTime: 3}, PSI: psi},
		CPUSet: cgroups.CPUSet{CPUs: []uint16{0, 1}, Mems: []uint16{0}},
		Memory: cgroups.Memory{Cache: 1, Usage: memory, Raw: map[string]uint64{"rss": 1}, PSI: psi, Events: map[string]uint64{"oom": 1}},
		Pids:   cgroups.Pids{Current: 1, Limit: 2},
		Blkio: cgroups.Blkio{IoServiceBytesRecursive: entry, IoServicedRecursive: entry, IoQueuedRecursive: entry, IoServiceTimeRecursive: entry,
			IoWaitTimeRecursive: entry, IoMergedRecursive: entry, IoTimeRecursive: entry, SectorsRecursive: entry},
		Hugetlb: map[string]cgroups.Hugetlb{"2MB": {Usage: 1, Max: 2, Failcnt: 3}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const psiText = `"psi":{"some":{"avg10":1.5,"avg60":1,"avg300":0.5,"total":7},"full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}`
	const entryText = `[{"major":8,"minor":1,"op":"Read","value":9}]`
	want := `{"type":"stats","id":"web","data":{` +
		`"cpu":{"usage":{"total":1,"percpu":[1],"percpu_kernel":[2],"percpu_user":[3],"kernel":4,"user":5},"throttling":{"periods":1,"throttledPeriods":2,"throttledTime":3},` + psiText + `},` +
		`"cpuset":{"cpus":[0,1],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},` +
		`"memory":{"cache":1,"usage":{"limit":18446744073709551615,"usage":1,"max":2,"failcnt":3},"swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},"raw":{"rss":1},` + psiText + `},` +
		`"pids":{"current":1,"limit":2},` +
		`"blkio":{"ioServiceBytesRecursive":` + entryText + `,"ioServicedRecursive":` + entryText + `,"ioQueueRecursive":` + entryText + `,"ioServiceTimeRecursive":` + entryText +
		`,"ioWaitTimeRecursive":` + entryText + `,"ioMergedRecursive":` + entryText + `,"ioTimeRecursive":` + entryText + `,"sectorsRecursive":` + entryText + `},` +
		`"hugetlb":{"2MB":{"usage":1,"max":2,"failcnt":3}},"intel_rdt":{},"network_interfaces":null}}`
	if string(b) != want {
		t.Errorf(" got %s\nwant %s", b, want)
	}
	if b, err = json.Marshal(&event{Type: eventOOM, ID: "web"}); err != nil || string(b) != `{"type":"oom","id":"web"}` {
		t.Errorf("%s, %v", b, err)
	}
}

// watching runs `davit events` and returns the lines it prints; the channel is closed when it ends.
func watching(t *testing.T, e *engine, args ...string) <-chan event {
	t.Helper()
	cmd := e.command(append([]string{"events"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan event, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var ev event
			if err := json.Unmarshal(s.Bytes(), &ev); err != nil {
				t.Errorf("%s: %v", s.Text(), err)
			}
			lines <- ev
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("davit events: %v", err)
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return lines
}

func next(t *testing.T, lines <-chan event) (ev event, ok bool) {
	t.Helper()
	select {
	case ev, ok = <-lines:
		return ev, ok
	case <-time.After(10 * time.Second):
		t.Fatal("davit events printed nothing for ten seconds")
		return ev, ok
	}
}

func TestEvents(t *testing.T) {
	e := newEngine(t)
	e.start("v", "busybox sleep 1000 & wait")
	var once event
	if err := json.Unmarshal([]byte(e.must("events", "--stats", "v")), &once); err != nil || once.Type != eventStats || once.ID != "v" || once.Data == nil {
		t.Fatalf("%+v, %v", once, err)
	}
	if once.Data.CPU.Usage.Total == 0 {
		t.Errorf("%+v", once.Data)
	}
	lines := watching(t, e, "--interval=50ms", "v")
	for range 3 {
		if ev, ok := next(t, lines); !ok || ev.Type != eventStats || ev.ID != "v" || ev.Data == nil {
			t.Fatalf("%+v", ev)
		}
	}
	e.must("kill", "v", "KILL")
	eventually(t, "it ends", func() bool { return e.status("v").Status == "stopped" })
	for ok := true; ok; {
		_, ok = next(t, lines)
	}
}

func TestEventsOOM(t *testing.T) {
	e := newEngine(t)
	limit := int64(16 << 20)
	e.start("o", "trap : USR1; while :; do sleep 1000 & wait $!; busybox tail /dev/zero; done", func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	})
	cgroupFile(t, e, "o", "memory.limit_in_bytes", "memory.max")
	lines := watching(t, e, "--interval", "50ms", "o")
	next(t, lines) // now it watches
	e.must("kill", "o", "USR1")
	for {
		ev, ok := next(t, lines)
		if !ok {
			t.Fatal("it ended without an oom event")
		}
		if ev.Type == eventOOM {
			if ev.ID != "o" || ev.Data != nil {
				t.Errorf("%+v", ev)
			}
			break
		}
	}
	e.must("delete", "--force", "o")
	for ok := true; ok; {
		_, ok = next(t, lines)
	}
}

func TestEventsErrors(t *testing.T) {
	e := newEngine(t)
	e.start("s", "exit 0")
	eventually(t, "it ends", func() bool { return e.status("s").Status == "stopped" })
	for line, want := range map[string]string{
		"events s":                "container with id s is not running",
		"events --stats s":        "container with id s is not running",
		"events --interval 0 s":   "duration interval must be greater than 0",
		"events --interval -1s s": "duration interval must be greater than 0",
		"events --interval x s":   "invalid value",
		"events nobody":           "container does not exist",
	} {
		if code, out, errs := e.call(strings.Fields(line)...); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, code, out, errs)
		}
	}
}
