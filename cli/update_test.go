package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "1024": 1024, "1b": 1, "1B": 1, "1k": 1 << 10, "1K": 1 << 10, "1kb": 1 << 10, "1KiB": 1 << 10, "512M": 512 << 20, "512 MB": 512 << 20,
		"3g": 3 << 30, "2TiB": 2 << 40, "1p": 1 << 50, "1.5g": 3 << 29, "0.5k": 512, "1.0000001k": 1024, "9223372036854775807": 1<<63 - 1, "8191p": 8191 << 50,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"": "not a size", "-1": "not a size", "-5m": "not a size", "+1": "not a size", "m": "not a size", "1x": "not a size", "1mm": "not a size", "1i": "not a size",
		"1e3": "not a size", "0x10": "not a size", "inf": "not a size", "1.": "not a size", ".5g": "not a size", "1.2.3": "not a size", "1  m": "not a size", "1m ": "not a size",
		"1m\n": "not a size", "1_000": "not a size", "9223372036854775808": "too large", "8192p": "too large", "99999999999999999999999k": "too large",
	} {
		if got, err := parseSize(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}

func TestHumanSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1023: "1023B", 1024: "1.00KiB", 1536: "1.50KiB", 10 << 10: "10.0KiB", 99 << 10: "99.0KiB", 100 << 10: "100KiB", 1023 << 10: "1.00MiB",
		512 << 20: "512MiB", 3 << 29: "1.50GiB", 1 << 63: "8.00EiB", 1<<64 - 1: "16.0EiB", 1<<20 - 1: "1.00MiB", 999 << 10: "999KiB",
	} {
		if got := humanSize(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// asked parses a command line of update and returns the resources as JSON.
func asked(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var f updateFlags
	for _, flag := range f.flags() {
		for i, a := range args {
			if name := strings.TrimLeft(a, "-"); i%2 == 0 && flag.Names()[0] == name {
				if err := flag.Set(name, args[i+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	res, err := f.resources()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(res)
	return string(b), err
}

func TestUpdateResources(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"", `{}`},
		{"--memory 512M", `{"memory":{"limit":536870912}}`},
		{"--memory -1 --memory-swap -1", `{"memory":{"limit":-1,"swap":-1}}`},
		{"--memory-reservation 1g --memory-swap 0", `{"memory":{"reservation":1073741824,"swap":0}}`},
		{"--cpu-quota -1 --cpu-period 5000", `{"cpu":{"quota":-1,"period":5000}}`},
		{"--cpu-share 512 --cpu-burst 1000 --cpu-idle 1", `{"cpu":{"shares":512,"burst":1000,"idle":1}}`},
		{"--cpu-rt-runtime 5 --cpu-rt-period 6 --cpuset-cpus 0-3 --cpuset-mems 0", `{"cpu":{"realtimeRuntime":5,"realtimePeriod":6,"cpus":"0-3","mems":"0"}}`},
		{"--pids-limit 0", `{"pids":{"limit":0}}`},
		{"--pids-limit -1 --blkio-weight 500", `{"pids":{"limit":-1},"blockIO":{"weight":500}}`},
		{"--blkio-weight 99999999", `{"blockIO":{"weight":65535}}`},
		{"--kernel-memory 1M --kernel-memory-tcp 1M", `{}`},
	} {
		if got, err := asked(t, strings.Fields(tt.line)...); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v", tt.line, got, err)
		}
	}
	for line, want := range map[string]string{
		"--memory 5X":                          `invalid value for memory: "5X": not a size`,
		"--memory -2":                          `invalid value for memory: "-2": not a size`,
		"--cpu-quota many":                     `invalid value for cpu-quota: "many": invalid syntax`,
		"--cpu-period -1":                      `invalid value for cpu-period: "-1": invalid syntax`,
		"--cpu-share 1.5":                      `invalid value for cpu-share: "1.5": invalid syntax`,
		"--pids-limit 99999999999999999999":    `value out of range`,
		"--resources /nonexistent --memory 1M": "--resources: open /nonexistent",
	} {
		if got, err := asked(t, strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v", line, got, err)
		}
	}
}

func TestReadResources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resources.json")
	read := func(text string) (*specs.LinuxResources, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readResources(file)
	}
	res, err := read(`{"memory":{"limit":5,"unknown":1},"unified":{"memory.high":"max"}, "unknown": {}}` + "\n")
	if err != nil || *res.Memory.Limit != 5 || res.Unified["memory.high"] != "max" {
		t.Errorf("%+v, %v", res, err)
	}
	for text, want := range map[string]string{
		"":                            "unexpected end of JSON input",
		"{} {}":                       "after top-level value",
		"[]":                          "linux.resources: ",
		`{"memory":{"limit":"512M"}}`: "linux.resources.memory.limit: ",
		`{"pids":{"limit":1.5}}`:      "linux.resources.pids.limit: ",
		`{"blockIO":{"weight":5}}`:    "linux.resources.blockIO.weight: must be from 10 to 1000",
	} {
		if res, err := read(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %+v, %v", text, res, err)
		}
	}
}

// cgroupFile finds a file of a container's control groups by its name in either version.
func cgroupFile(t *testing.T, e *engine, id string, names ...string) string {
	t.Helper()
	pid := e.status(id).PID
	for _, c := range cgroupsOf(t, pid) {
		for _, n := range names {
			if b, err := os.ReadFile(filepath.Join(c, n)); err == nil {
				return strings.TrimSpace(string(b))
			}
		}
	}
	lacks := lackingControllers(t)
	if lacks == "" {
		t.Fatalf("the container has none of %v in its cgroups", names)
	}
	t.Skipf("needs one of %v, and this host has no controller for %s", names, lacks)
	return ""
}

func TestUpdate(t *testing.T) {
	e := newEngine(t)
	e.start("u", "sleep 1000")
	for _, limit := range []string{"--pids-limit=40", "--memory=32M", "--cpu-share=1000", "--cpu-quota=100000"} {
		lacks := lackingControllers(t)
		if _, _, errs := e.call("update", limit, "u"); lacks != "" && strings.Contains(errs, "controller is not available") {
			t.Skipf("needs limits, and this host has no controller for %s", lacks)
		}
	}
	for _, tt := range []struct {
		line  string
		files []string
		want  string
	}{
		{"update --pids-limit 30 u", []string{"pids.max"}, "30"},
		{"update u --memory 64M --memory-swap 64M", []string{"memory.limit_in_bytes", "memory.max"}, "67108864"},
		{"update --memory=128M --memory-swap=128M u", []string{"memory.limit_in_bytes", "memory.max"}, "134217728"},
		{"update --pids-limit -1 u", []string{"pids.max"}, "max"},
		{"update --cpu-quota 50000 --cpu-period 100000 u", []string{"cpu.cfs_quota_us", "cpu.max"}, "50000"},
		{"update --cpu-share 512 u", []string{"cpu.shares", "cpu.weight"}, "5"},
		{"update u", []string{"pids.max"}, "max"},
	} {
		if out := e.must(strings.Fields(tt.line)...); out != "" {
			t.Errorf("%s printed %q", tt.line, out)
		}
		if got := cgroupFile(t, e, "u", tt.files...); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %v is %s", tt.line, tt.files, got)
		}
	}

	// As engines do it; other flags are ignored, but not in silence.
	for _, args := range [][]string{{"update", "--resources", "-", "u"}, {"update", "-r", "-", "--memory", "5G", "--kernel-memory", "1M", "u"}} {
		cmd := e.command(args...)
		cmd.Stdin = strings.NewReader(`{"pids":{"limit":` + strings.Repeat("4", len(args)-2) + `}}`)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Count(string(out), "is ignored: ") != len(args)/6*2 {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		if got := cgroupFile(t, e, "u", "pids.max"); got != strings.Repeat("4", len(args)-2) {
			t.Errorf("%v: pids.max is %s", args, got)
		}
	}
	if got := cgroupFile(t, e, "u", "memory.limit_in_bytes", "memory.max"); got != "134217728" {
		t.Errorf("the memory limit is %s", got)
	}

	// What fails changes nothing.
	for line, want := range map[string]string{
		"update --pids-limit 7 --cpuset-cpus 9999 u": "linux.resources.cpu.cpus",
		"update --pids-limit 7 --blkio-weight 5 u":   "linux.resources.blockIO.weight: 5 is not in the range 10 to 1000",
		"update --pids-limit 7 --cpu-idle 2 u":       "linux.resources.cpu.idle",
		"update --pids-limit 7 --memory -5 u":        "invalid value for memory",
		"update --pids-limit 7 --memory 1k5 u":       "invalid value for memory",
	} {
		code, out, errs := e.call(strings.Fields(line)...)
		if code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, stderr %q", line, code, errs)
		}
		if got := cgroupFile(t, e, "u", "pids.max"); got == "7" {
			t.Errorf("%s: half of it was done", line)
		}
	}
	if code, _, errs := e.call("update", "--pids-limit", "7", "nobody"); code != 1 || !strings.Contains(errs, "container does not exist") {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

func TestUpdateStopped(t *testing.T) {
	e := newEngine(t)
	e.start("s", "exit 0")
	eventually(t, "it ends", func() bool { return e.status("s").Status == "stopped" })
	if code, _, errs := e.call("update", "--pids-limit", "7", "s"); code != 1 || !strings.Contains(errs, "container not running") {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}
