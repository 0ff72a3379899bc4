package cgroups

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Events come in their interval, one JSON object a line, and end with the container.
func TestEventsComeInTheirInterval(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	begin(s)
	s.Davit("events", "--interval", "0s", s.ID).Fails("duration interval must be greater than 0")
	s.Davit("events", "nobody").Fails("container does not exist")
	start := time.Now()
	c := s.Command("events", "--interval", "100ms", s.ID)
	c.Begin()
	time.Sleep(1050 * time.Millisecond)
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	r := c.End()
	took := time.Since(start)
	r.Succeeds()
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(r.Stdout())); lines.Scan(); n++ {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Type != "stats" || e.ID != s.ID || e.Data == nil {
			t.Errorf("%s: %v", lines.Text(), err)
		}
	}
	if n < 4 || n > int(took/(100*time.Millisecond)) {
		t.Errorf("%d events in %v", n, took)
	}
	s.Davit("events", "--stats", s.ID).Fails("is not running")
	s.Davit("delete", s.ID).Succeeds()
	if took > 5*time.Second {
		t.Errorf("events ended after %v", took)
	}
}

// Events are about a paused and about a created container, too, and end when it is deleted.
func TestEventsOfPausedAndCreated(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.Create().Succeeds()
	look(s)
	s.Davit("start", s.ID).Succeeds()
	s.Davit("pause", s.ID).Succeeds()
	look(s)
	c := s.Command("events", "--interval", "20ms", s.ID)
	c.Begin()
	c.Written("stats")
	s.Delete()
	c.End().Succeeds()
}

// Whatever the interval is, events end with the container, and tell of the kill that was its end.
func TestEventsEndWithTheContainer(t *testing.T) {
	t.Parallel()
	s := harness.New(t, resources(t, `{"memory":{"limit":33554432,"swap":33554432}}`),
		harness.Shell("until [ -e /go ]; do sleep 0.02; done; x=0123456789abcdef; while :; do x=$x$x; done"))
	oom := onV1("memory") || onV2("memory")
	if !oom {
		s.Edit(resources(t, `{}`), harness.Shell("until [ -e /go ]; do sleep 0.02; done"))
	}
	begin(s)
	c := s.Command("events", "--interval", "1h", s.ID)
	c.Begin()
	time.Sleep(100 * time.Millisecond)
	s.WriteFile("/go", "", 0o644)
	s.WaitStatus(specs.StateStopped)
	start := time.Now()
	r := c.End()
	r.Succeeds()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("events ended %v after the container", took)
	}
	if strings.Contains(r.Stdout(), `"oom"`) != oom {
		t.Errorf("events of the container's end: %q", r.Stdout())
	}
	s.Delete()
}

// Pressure is reported where the kernel measures it.
func TestEventsHavePressure(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadFile("/proc/pressure/cpu"); err != nil {
		t.Skipf("this kernel measures no pressure: %v", err)
	}
	s := harness.New(t, harness.Shell("while :; do (true); done"))
	begin(s)
	psi := look(s).CPU.PSI
	if has := unified() != "/nonexistent"; has != (psi != nil) {
		t.Errorf("pressure %+v in a layout with a unified hierarchy: %t", psi, has)
	}
	s.Delete()
}

// Independent parsers of Prometheus' formats take what stats prints, and find the containers.
func TestMetricsAreRead(t *testing.T) {
	t.Parallel()
	const script = `
import sys
from prometheus_client import openmetrics, parser
import prometheus_client.openmetrics.parser as om
text = sys.stdin.read()
strict = {f.name: f for f in om.text_string_to_metric_families(text)}
plain = {s.name: s for f in parser.text_string_to_metric_families(text) for s in f.samples}
cpu = strict["davit_container_cpu_usage_seconds"]
assert cpu.type == "counter" and cpu.unit == "seconds" and cpu.documentation, cpu
assert [s.labels["id"] for s in cpu.samples] == sys.argv[1:], cpu
assert all(s.value >= 0 for f in strict.values() for s in f.samples)
assert plain["davit_container_cpu_usage_seconds_total"].labels["id"] == sys.argv[-1]
print(len(strict))
`
	python := "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import prometheus_client.openmetrics.parser").CombinedOutput(); errors.Is(err, fs.ErrNotExist) || bytes.Contains(out, []byte("ModuleNotFoundError")) {
		t.Skipf("needs the Debian package python3-prometheus-client: %v %s", err, out)
	}
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	begin(s)
	second := harness.New(t, harness.Args("/bin/sleep", "100"))
	second.Root, second.ID = s.Root, s.ID+"-second"
	second.Spec.Linux.CgroupsPath = "/" + second.ID
	begin(second)
	r := s.Davit("stats", "--format", "openmetrics")
	r.Succeeds()
	cmd := exec.Command(python, "-c", script, s.ID, second.ID)
	cmd.Stdin = strings.NewReader(r.Stdout())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, out, r.Stdout())
	}
	t.Logf("%s families of metrics", strings.TrimSpace(string(out)))
	second.Delete()
	s.Delete()
}
