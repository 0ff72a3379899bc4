package cgroups

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func resources(t testing.TB, text string) *specs.LinuxResources {
	t.Helper()
	res := &specs.LinuxResources{}
	if err := json.Unmarshal([]byte(text), res); err != nil {
		t.Fatal(err)
	}
	return res
}

// TestUpdate takes limits up and down, each in one call, whatever order the kernel wants.
func TestUpdate(t *testing.T) {
	for _, controller := range []string{"memory", "cpu", "pids"} {
		needController(t, controller)
	}
	m := newManager(t, Config{OCIVersion: "1.0.2", Resources: resources(t, `{"memory":{"limit":67108864,"swap":67108864},"cpu":{"quota":50000,"period":100000,"burst":50000},"pids":{"limit":50}}`)})
	mustCreate(t, m)
	newShell(t, m)
	for _, step := range []struct {
		res                             string
		memory, memoryV2, cpu, cpuV2, n string
	}{
		{`{"memory":{"limit":134217728,"swap":134217728},"cpu":{"quota":100000,"burst":100000},"pids":{"limit":60}}`, "134217728", "134217728", "100000", "100000 100000", "60"},
		{`{"memory":{"limit":33554432,"swap":33554432},"cpu":{"quota":20000,"burst":20000},"pids":{"limit":40}}`, "33554432", "33554432", "20000", "20000 100000", "40"},
		{`{"cpu":{"quota":5000,"period":10000,"burst":0}}`, "33554432", "33554432", "5000", "5000 10000", "40"},
		{`{"cpu":{"quota":500000,"period":1000000}}`, "33554432", "33554432", "500000", "500000 1000000", "40"},
		{`{"cpu":{"period":500000}}`, "33554432", "33554432", "500000", "500000 500000", "40"},
		{`{"memory":{"limit":-1},"cpu":{"quota":-1},"pids":{"limit":-1}}`, "9223372036854771712", "max", "-1", "max 500000", "max"},
	} {
		if err := m.Set(resources(t, step.res)); err != nil {
			t.Fatalf("%s: %v", step.res, err)
		}
		memory, cpu := step.memory, step.cpu
		if detect(t).V1Controller("memory") == nil {
			memory = step.memoryV2
		}
		if detect(t).V1Controller("cpu") == nil {
			cpu = step.cpuV2
		}
		if got := value(t, m, "memory", "memory.limit_in_bytes", "memory.max"); got != memory {
			t.Errorf("%s: memory %s", step.res, got)
		}
		if got := value(t, m, "cpu", "cpu.cfs_quota_us", "cpu.max"); got != cpu {
			t.Errorf("%s: cpu %s", step.res, got)
		}
		if got := value(t, m, "pids", "pids.max", "pids.max"); got != step.n {
			t.Errorf("%s: pids %s", step.res, got)
		}
	}
}

// TestFailedUpdateChangesNothing: what was written before the error is taken back.
func TestFailedUpdateChangesNothing(t *testing.T) {
	needController(t, "pids")
	needController(t, "cpuset")
	m := newManager(t, Config{Resources: resources(t, `{"pids":{"limit":50},"cpu":{"cpus":"0"}}`)})
	mustCreate(t, m)
	// pids.max fits, and is written before the weight that the kernel refuses.
	err := m.Set(resources(t, `{"cpu":{"cpus":"0-1"},"pids":{"limit":40},"hugepageLimits":[{"pageSize":"3MB","limit":1}]}`))
	if err == nil {
		t.Fatal("a huge page size that doesn't exist was set")
	}
	if got := value(t, m, "pids", "pids.max", "pids.max"); got != "50" {
		t.Errorf("pids.max is %s, it was 50 (%v)", got, err)
	}
	if got := value(t, m, "cpuset", "cpuset.cpus", "cpuset.cpus"); got != "0" {
		t.Errorf("cpuset.cpus is %s, it was 0 (%v)", got, err)
	}
}

// TestUpdateWritesDifferencesOnly counts writes by what they'd do: a file without write
// permission for its owner can still be read and compared.
func TestUpdateWritesDifferencesOnly(t *testing.T) {
	needController(t, "pids")
	needController(t, "memory")
	m := newManager(t, Config{Resources: resources(t, `{"pids":{"limit":50},"memory":{"limit":67108864}}`)})
	mustCreate(t, m)
	inner := m.(*manager)
	writes, _, err := Batch(resources(t, `{"pids":{"limit":50},"memory":{"limit":67108864,"disableOOMKiller":false},"cpu":{"shares":1024,"quota":-1,"period":100000}}`), inner.layout(), "")
	if err != nil {
		t.Fatal(err)
	}
	if inner.unified() != nil && inner.v1("memory") == nil {
		writes = writes[:0]
	}
	changes, _ := inner.differences(writes)
	if len(changes) != 0 {
		t.Errorf("nothing differs, yet %v would be written", changes)
	}
	changes, old := inner.differences([]Write{{Controller: "pids", Unified: inner.v1("pids") == nil, File: "pids.max", Value: "51"}})
	if len(changes) != 1 || len(old) != 1 || old[0].value != "50" {
		t.Errorf("changes %v, old values %v", changes, old)
	}
}

// device makes a node for major:minor and returns its path.
func device(t *testing.T, major, minor uint32) string {
	t.Helper()
	needRoot(t)
	node := filepath.Join(t.TempDir(), "node")
	err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor)))
	if err == unix.EPERM {
		t.Skip("needs to make device nodes, which this root can't (in a user namespace, or without CAP_MKNOD)")
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(node)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("device %d:%d can't be opened on this host: %v", major, minor, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return node
}

// TestDevices follows a policy through updates while a process runs, in whatever way the
// view enforces it.
func TestDevices(t *testing.T) {
	kmsg := device(t, 1, 11)
	open := func(s *shell) string {
		return s.ask("(: <" + kmsg + ") 2>&1 && echo opened")
	}
	m := newManager(t, Config{Resources: resources(t, `{"devices":[{"allow":false,"access":"rwm"}]}`)})
	mustCreate(t, m)
	s := newShell(t, m)
	if got := open(s); !strings.Contains(got, "Operation not permitted") {
		t.Errorf("a denied device: %q", got)
	}
	if got := s.ask("(: </dev/null >/dev/zero) 2>&1 && echo opened"); got != "opened" {
		t.Errorf("default devices: %q", got)
	}
	for _, step := range []struct {
		list, want string
	}{
		{`[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]`, "opened"},
		{`[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"w"}]`, "not permitted"},
		{`[{"allow":true,"access":"rwm"}]`, "opened"},
		{`[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":11,"access":"r"}]`, "not permitted"},
		{`[{"allow":false}]`, "not permitted"},
	} {
		again, err := Open(m.Paths(), &Config{})
		if err != nil {
			t.Fatal(err)
		}
		err = again.Set(resources(t, `{"devices":`+step.list+`}`))
		again.Close()
		if err != nil {
			t.Fatalf("%s: %v", step.list, err)
		}
		if got := open(s); !strings.Contains(got, step.want) {
			t.Errorf("%s: %q", step.list, got)
		}
	}
	// An update without devices leaves them alone.
	if err := m.Set(resources(t, `{"cpu":{"shares":0}}`)); err != nil {
		t.Fatal(err)
	}
	if got := open(s); !strings.Contains(got, "not permitted") {
		t.Errorf("after an update without devices: %q", got)
	}
}

// TestNoCgroup: a container without cgroups says so, and can be deleted.
func TestNoCgroup(t *testing.T) {
	m, err := New(&Layout{}, &Config{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Create(); err != nil {
		t.Errorf("Create: %v", err)
	}
	for what, err := range map[string]error{
		"Kill": m.Kill(unix.SIGKILL), "Freeze": m.Freeze(), "Thaw": m.Thaw(),
		"Pids":  func() error { _, err := m.Pids(true); return err }(),
		"Stats": func() error { _, err := m.Stats(); return err }(),
	} {
		if !errors.Is(err, ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(m.Attach(1), m.Destroy(), m.Close()); err != nil {
		t.Error(err)
	}
}

// TestCompleteMemory: what an update of one leaves of the sum of memory and swap, and of
// the limit, in a directory that looks like the unified hierarchy's.
func TestCompleteMemory(t *testing.T) {
	for _, c := range []struct{ max, swap, asked, want, fails string }{
		{"100", "50", `{"limit":120}`, `{"limit":120,"swap":150}`, ""},
		{"100", "50", `{"limit":150}`, `{"limit":150,"swap":150}`, ""},
		{"100", "50", `{"limit":151}`, "", "linux.resources.memory.limit: 151 is more than memory and swap together may be, 150"},
		{"100", "50", `{"limit":151,"swap":200}`, `{"limit":151,"swap":200}`, ""},
		{"100", "50", `{"limit":-1}`, `{"limit":-1}`, ""},
		{"100", "50", `{"limit":120,"swap":-1}`, `{"limit":120,"swap":-1}`, ""},
		{"100", "50", `{"reservation":10}`, `{"reservation":10}`, ""},
		{"100", "0", `{"limit":120}`, `{"limit":120}`, ""},
		{"100", "max", `{"limit":120}`, `{"limit":120}`, ""},
		{"100", "", `{"limit":120}`, `{"limit":120}`, ""},
		{"max", "50", `{"limit":120}`, `{"limit":120}`, ""},
		{"100", "50", `{"swap":130}`, `{"limit":100,"swap":130}`, ""},
		{"max", "max", `{"swap":130}`, `{"swap":130}`, ""},
		{"", "", `{"swap":130}`, `{"swap":130}`, ""},
	} {
		dir := t.TempDir()
		for name, value := range map[string]string{"memory.max": c.max, "memory.swap.max": c.swap} {
			if value == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m := &manager{groups: []*group{{mount: filepath.Dir(dir), dir: dir, unified: true, fd: -1}}}
		full, err := m.complete(resources(t, `{"memory":`+c.asked+`}`))
		m.Close()
		if c.fails != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.fails) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got, err := json.Marshal(full.Memory); err != nil || string(got) != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}
