package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
)

func someSamples(at time.Time, cpu uint64) []sample {
	psi := &cgroups.PSI{Some: cgroups.PSIData{Total: 1500000}, Full: cgroups.PSIData{Total: 250000}}
	return []sample{
		{"web", at, &cgroups.Stats{
			CPU: cgroups.CPU{Usage: cgroups.CPUUsage{Total: cpu, User: cpu / 2, Kernel: cpu / 4}, Throttling: cgroups.Throttling{Periods: 10, ThrottledPeriods: 2, ThrottledTime: 5e8}, PSI: psi},
			Memory: cgroups.Memory{Cache: 1 << 20, Raw: map[string]uint64{"file": 1 << 20}, Events: map[string]uint64{"max": 4, "oom_kill": 1},
				Usage: cgroups.MemoryEntry{Limit: 512 << 20, Usage: 128 << 20, Max: 130 << 20}, Swap: cgroups.MemoryEntry{Limit: 1 << 30, Usage: 129 << 20}, PSI: psi},
			Pids: cgroups.Pids{Current: 7, Limit: 100},
			Blkio: cgroups.Blkio{
				IoServiceBytesRecursive: []cgroups.BlkioEntry{{Major: 8, Minor: 0, Op: "Read", Value: 4096}, {Major: 8, Minor: 0, Op: "Write", Value: 1}, {Major: 8, Minor: 16, Op: "Read", Value: 4096}, {Major: 8, Minor: 0, Op: "Total", Value: 4097}},
				IoServicedRecursive:     []cgroups.BlkioEntry{{Major: 8, Minor: 0, Op: "Read", Value: 2}}, PSI: psi},
			Hugetlb: map[string]cgroups.Hugetlb{"2MB": {Usage: 2 << 20}, "1GB": {}},
		}},
		{"a.b-c+d_E", at, &cgroups.Stats{
			CPU:    cgroups.CPU{Usage: cgroups.CPUUsage{Total: 3600e9}},
			Memory: cgroups.Memory{Raw: map[string]uint64{"rss": 1}, Usage: cgroups.MemoryEntry{Limit: 1<<63 - 4096, Usage: 2048, Failcnt: 3}, Swap: cgroups.MemoryEntry{Limit: math.MaxUint64}},
		}},
		{"bare", at, &cgroups.Stats{}},
	}
}

func TestStatsRows(t *testing.T) {
	at := time.Now()
	got := statsRows(someSamples(at.Add(2*time.Second), 5e9), someSamples(at, 2e9)[:2])
	want := "" +
		"ID          CPU %   CPU TIME   MEMORY    LIMIT    MEM %   READ      WRITTEN   PIDS\n" +
		"web         150.0   5s         128MiB    512MiB   25.0    8.00KiB   1B        7\n" +
		"a.b-c+d_E   0.0     1h0m0s     2.00KiB   -        -       0B        0B        0\n" +
		"bare        -       0s         0B        -        -       0B        0B        0\n"
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestScreen(t *testing.T) {
	text := "header\nüüüüüüü\nrow 2\nrow 3\nrow 4\n"
	for _, tt := range []struct {
		columns, rows int
		want          string
	}{
		{0, 0, "header|üüüüüüü|row 2|row 3|row 4"}, {3, 10, "hea|üüü|row|row|row"}, {80, 6, "header|üüüüüüü|row 2|row 3|row 4"}, {80, 5, "header|üüüüüüü|row 2|and 2 more"},
	} {
		got := screen(text, tt.columns, tt.rows)
		inner, ok := strings.CutPrefix(got, "\x1b[H")
		inner, ok2 := strings.CutSuffix(inner, "\x1b[K\n\x1b[J")
		if inner = strings.ReplaceAll(inner, "\x1b[K\n", "|"); !ok || !ok2 || inner != tt.want {
			t.Errorf("%dx%d: %q", tt.columns, tt.rows, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	var b bytes.Buffer
	if err := printMetrics(&b, someSamples(time.Now(), 2500000001)); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{
		"# TYPE davit_container_cpu_usage_seconds counter\n# UNIT davit_container_cpu_usage_seconds seconds\n# HELP davit_container_cpu_usage_seconds CPU time used.\n" +
			"davit_container_cpu_usage_seconds_total{id=\"web\"} 2.500000001\ndavit_container_cpu_usage_seconds_total{id=\"a.b-c+d_E\"} 3600\n",
		"davit_container_cpu_throttled_seconds_total{id=\"web\"} 0.5\n",
		"davit_container_memory_usage_bytes{id=\"web\"} 134217728\n",
		"davit_container_memory_limit_bytes{id=\"web\"} 536870912\n",
		"davit_container_memory_swap_bytes{id=\"web\"} 1048576\n",
		"davit_container_memory_limit_hits_total{id=\"web\"} 4\ndavit_container_memory_limit_hits_total{id=\"a.b-c+d_E\"} 3\n",
		"davit_container_memory_oom_kills_total{id=\"web\"} 1\n#",
		"davit_container_tasks{id=\"web\"} 7\n#",
		"davit_container_io_bytes_total{id=\"web\",device=\"8:16\",operation=\"read\"} 4096\n#",
		"davit_container_hugetlb_usage_bytes{id=\"web\",pagesize=\"1GB\"} 0\ndavit_container_hugetlb_usage_bytes{id=\"web\",pagesize=\"2MB\"} 2097152\n",
		"davit_container_pressure_stalled_seconds_total{id=\"web\",resource=\"io\",tasks=\"all\"} 0.25\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q isn't in it", want)
		}
	}
	for _, unwanted := range []string{"limit_bytes{id=\"a.b", "usage_bytes{id=\"bare", "e+", "Total"} {
		if strings.Contains(out, unwanted) {
			t.Errorf("%q is in it", unwanted)
		}
	}
	checkMetrics(t, out)
	b.Reset()
	if err := printMetrics(&b, nil); err != nil || b.String() != "# EOF\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// checkMetrics holds text against the OpenMetrics grammar, as far as davit uses it:
// families don't mix, each has its metadata once and before its samples, counters
// end in _total, units in names, no sample occurs twice, and EOF is the end.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	sampleLine := regexp.MustCompile(`^([a-z_]+)\{([a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*)\} ([0-9]+(?:\.[0-9]+)?)$`)
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok || strings.Contains(body, "# EOF") {
		t.Error("EOF isn't the end")
	}
	var families, samples []string
	var name, kind, unit string
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if f := strings.SplitN(line, " ", 4); f[0] == "#" {
			switch {
			case len(f) != 4:
				t.Errorf("line %q", line)
			case f[1] == "TYPE":
				if slices.Contains(families, f[2]) || f[3] != "counter" && f[3] != "gauge" {
					t.Errorf("line %q", line)
				}
				name, kind, unit = f[2], f[3], ""
				families = append(families, name)
			case f[2] != name:
				t.Errorf("%q in the family %s", line, name)
			case f[1] == "UNIT":
				unit = f[3]
			case f[1] != "HELP":
				t.Errorf("line %q", line)
			}
			if !strings.HasSuffix(name, unit) || strings.HasSuffix(name, "_total") {
				t.Errorf("%s with the unit %q", name, unit)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %q", line)
			continue
		}
		if want := name + map[string]string{"counter": "_total", "gauge": ""}[kind]; m[1] != want || slices.Contains(samples, m[1]+m[2]) || !strings.HasPrefix(m[2], `id="`) {
			t.Errorf("%q in the family %s", line, name)
		}
		samples = append(samples, m[1]+m[2])
	}
}

func TestStats(t *testing.T) {
	e := newEngine(t)
	limit := int64(64 << 20)
	e.start("busy", "while :; do :; done", func(s *specs.Spec) { s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit} })
	e.start("idle", "sleep 1000")
	e.start("gone", "exit 0")
	eventually(t, "it ends", func() bool { return e.status("gone").Status == "stopped" })

	table := strings.Split(e.must("stats"), "\n")
	if len(table) != 4 || !strings.HasPrefix(table[0], "ID ") || !strings.HasPrefix(table[1], "busy ") || !strings.HasPrefix(table[2], "idle ") || table[3] != "" {
		t.Fatalf("got:\n%s", strings.Join(table, "\n"))
	}
	busy, idle := strings.Fields(table[1]), strings.Fields(table[2])
	share := func(f []string) float64 {
		n, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if share(busy) <= share(idle) || share(busy) > 150 || busy[4] != "64.0MiB" && busy[4] != "-" || busy[8] != "1" {
		t.Errorf("got:\n%s", strings.Join(table, "\n"))
	}

	lines := strings.Split(strings.TrimSuffix(e.must("stats", "--format", "json"), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	for i, line := range lines {
		var ev event
		if err := json.Unmarshal([]byte(line), &ev); err != nil || ev.Type != eventStats || ev.ID != []string{"busy", "idle"}[i] || ev.Data == nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	metrics := e.must("stats", "-f", "openmetrics")
	checkMetrics(t, metrics)
	if n := strings.Count(metrics, `davit_container_cpu_usage_seconds_total{`); n != 2 {
		t.Errorf("%d containers in:\n%s", n, metrics)
	}
	if out := e.must("stats", "idle"); strings.Contains(out, "busy") || !strings.Contains(out, "idle") {
		t.Errorf("got:\n%s", out)
	}
	for line, want := range map[string]string{
		"stats idle gone":         "container with id gone is not running",
		"stats nobody":            "container does not exist",
		"stats --format csv":      "invalid format option",
		"stats --interval 0 idle": "duration interval must be greater than 0",
	} {
		if code, out, errs := e.call(strings.Fields(line)...); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, code, out, errs)
		}
	}
}

func TestStatsOfNothing(t *testing.T) {
	root := emptyRoot(t)
	for format, want := range map[string]string{"table": "ID   CPU %", "json": "", "openmetrics": "# EOF\n"} {
		code, out, errs := davit(t, "--root", root, "stats", "--interval", "1ms", "--format", format)
		if code != 0 || errs != "" || !strings.HasPrefix(out, want) || want == "" && out != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", format, code, out, errs)
		}
	}
}

// pseudoTerminal returns the two ends of a new terminal of 60 columns.
func pseudoTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("needs a devpts for terminals: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60})
	}
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestStatsLive follows a container on a terminal until it ends.
func TestStatsLive(t *testing.T) {
	e := newEngine(t)
	e.start("c", "sleep 1000")
	master, slave := pseudoTerminal(t)
	cmd := e.command("stats", "--interval", "20ms", "c")
	cmd.Stdout, cmd.Stderr = slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var shown bytes.Buffer
	buf := make([]byte, 4096)
	for bytes.Count(shown.Bytes(), []byte("\x1b[H")) < 3 {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, shown.String())
		}
		shown.Write(buf[:n])
	}
	e.must("delete", "--force", "c")
	go func() { // the master reports an error once nobody has the slave open
		for _, err := master.Read(buf); err == nil; _, err = master.Read(buf) {
		}
	}()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v after %q", err, shown.String())
	}
	first, _, _ := strings.Cut(shown.String(), "\x1b[J")
	for line := range strings.SplitSeq(strings.TrimPrefix(first, "\x1b[H"), "\x1b[K\r\n") {
		if len(line) > 60 {
			t.Errorf("%q is wider than the terminal", line)
		}
	}
	if !strings.HasPrefix(first, "\x1b[HID ") || !strings.Contains(first, "\nc  ") {
		t.Errorf("%q", first)
	}
}
