package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups/systemd/systemdtest"
	"davit/tests/harness"
)

func TestUnitLife(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox()
	create(s).Succeeds()
	if !m.active(unit) {
		t.Errorf("%s is not active", unit)
	}
	m.expect(unit, "Slice=davit-test.slice", "CollectMode=inactive-or-failed", "Description=container "+s.ID)
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		controllers := strings.SplitN(line, ":", 3)[1]
		shown := controllers == "" == onV2(t) // the other versions' hierarchies aren't there to be joined
		if !onV2(t) {
			_, err := os.Stat("/sys/fs/cgroup/" + strings.TrimPrefix(controllers, "name="))
			shown = controllers != "" && err == nil
		}
		if shown && !strings.HasSuffix(line, ":"+place+unit+"\n") {
			t.Errorf("the container is in %s", line)
		}
	}
	s.Davit("start", s.ID).Succeeds()
	r := s.Davit("exec", s.ID, "cat", "/proc/self/cgroup")
	r.Succeeds()
	if s.Davit("exec", "--cgroup", "/nowhere", s.ID, "true").Code == 0 {
		t.Error("a process joined a cgroup that isn't there")
	}
	if lines := strings.Count(s.Davit("ps", s.ID).Stdout(), "\n"); lines != 2 {
		t.Errorf("ps shows %d lines", lines)
	}
	s.Davit("pause", s.ID).Succeeds()
	s.WaitStatus("paused")
	s.Davit("resume", s.ID).Succeeds()
	s.Davit("events", "--stats", s.ID).Succeeds()
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
	if m.active(unit) {
		t.Errorf("%s is still active", unit)
	}
	// Its name is free again, at once.
	start(s)
	s.Delete()
}

func TestUnitOfRun(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox(harness.Shell("cat /proc/self/cgroup; exit 7"), harness.WithoutNamespace(specs.CgroupNamespace))
	s.WriteConfig()
	r := s.Davit("run", "--systemd-cgroup", "--bundle", s.Bundle, s.ID)
	if r.Code != 7 || !strings.Contains(r.Stdout(), place+unit+"\n") {
		t.Errorf("exit code %d, %s%s", r.Code, r.Stdout(), r.Stderr())
	}
	if m.active(unit) {
		t.Errorf("%s is still active", unit)
	}
}

// Without a path the unit is the one that runc's users know.
func TestUnitByDefault(t *testing.T) {
	m := manager(t)
	s, _ := m.sandbox()
	s.Spec.Linux.CgroupsPath = ""
	create(s).Succeeds()
	if unit := "runc-" + s.ID + ".scope"; !m.active(unit) {
		t.Errorf("%s is not active", unit)
	}
	s.Delete()
}

func TestUnitSubCgroup(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox(harness.WithoutNamespace(specs.CgroupNamespace))
	start(s)
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*" + place + unit)
	if onV2(t) {
		dirs = []string{"/sys/fs/cgroup" + place + unit}
	}
	for _, d := range dirs {
		if st, err := os.Lstat(strings.TrimSuffix(d, place+unit)); err != nil || !st.IsDir() {
			continue // cpu -> cpu,cpuacct
		}
		if err := os.Mkdir(d+"/sub", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new one of version 1
			if text, err := os.ReadFile(d + "/" + f); err == nil {
				_ = os.WriteFile(d+"/sub/"+f, text, 0)
			}
		}
	}
	r := s.Davit("exec", "--cgroup", "sub", s.ID, "cat", "/proc/self/cgroup")
	r.Succeeds()
	if !strings.Contains(r.Stdout(), place+unit+"/sub\n") {
		t.Errorf("the process is in %s", r.Stdout())
	}
	s.Delete() // with what is below
}

func TestUnitLimits(t *testing.T) {
	m := manager(t)
	limits := resources(specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: harness.Pointer(int64(64 << 20))},
		Pids:   &specs.LinuxPids{Limit: harness.Pointer(int64(42))},
		CPU:    &specs.LinuxCPU{Shares: harness.Pointer(uint64(512)), Quota: harness.Pointer(int64(12345)), Period: harness.Pointer(uint64(50000))},
	})
	s, unit := m.sandbox(limits)
	if !hasController("memory") {
		create(s).Fails("linux.resources", "controller is not available")
		if m.active(unit) {
			t.Errorf("%s is left", unit)
		}
		return
	}
	start(s)
	m.expect(unit, "TasksMax=42", "CPUQuotaPerSecUSec=250000", "CPUQuotaPeriodUSec=50000")
	if name, _ := file(t, "memory", unit, "memory.limit_in_bytes", "memory.max"); name == "memory.max" {
		m.expect(unit, "MemoryMax=67108864")
	} else {
		m.expect(unit, "MemoryLimit=67108864")
	}
	if onV2(t) {
		m.expect(unit, "CPUWeight=59")
	} else {
		m.expect(unit, "CPUShares=512")
	}
	check := func(when, wantMemory, wantPids string) {
		t.Helper()
		for _, f := range [][3]string{{"memory", "memory.limit_in_bytes memory.max", wantMemory}, {"pids", "pids.max", wantPids}, {"cpu", "cpu.weight cpu.shares", ""}} {
			name, got := file(t, f[0], unit, strings.Fields(f[1])...)
			switch name {
			case "cpu.weight":
				f[2] = "59"
			case "cpu.shares":
				f[2] = "512"
			}
			if got != f[2] {
				t.Errorf("%s: %s is %s, want %s", when, name, got, f[2])
			}
		}
	}
	check("created", "67108864", "42")
	if name, got := file(t, "cpu", unit, "cpu.cfs_quota_us", "cpu.max"); got != "12345" && got != "12345 50000" {
		t.Errorf("%s is %s: not to the letter", name, got)
	}
	m.reload()
	check("after a reload", "67108864", "42")
	s.Davit("update", "--memory", "96M", "--pids-limit", "77", s.ID).Succeeds()
	check("updated", "100663296", "77")
	m.expect(unit, "TasksMax=77", "CPUQuotaPerSecUSec=250000")
	m.reload()
	check("updated, after a reload", "100663296", "77")
	if m.double != nil {
		m.double.Calls()
		s.Davit("update", "--pids-limit", "77", s.ID).Succeeds()
		if calls := m.double.Calls(); len(calls) != 0 {
			t.Errorf("an update without a change called %v", calls)
		}
	}
	s.Delete()
}

// A reload of systemd's neither takes devices away nor gives more.
func TestUnitDevices(t *testing.T) {
	m := manager(t)
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Major: harness.Pointer(int64(1)), Minor: harness.Pointer(int64(11)), Access: "w"}}
	s, unit := m.sandbox(resources(specs.LinuxResources{Devices: rules}), harness.Capabilities("CAP_MKNOD"))
	start(s)
	s.Davit("exec", s.ID, "sh", "-c", "mknod /dev/kmsg1 c 1 11 && mknod /dev/port1 c 1 4").Succeeds()
	check := func(when string) {
		t.Helper()
		if r := s.Davit("exec", s.ID, "sh", "-c", ": >/dev/kmsg1 && cat /dev/null && head -c1 /dev/zero >/dev/null"); r.Code != 0 {
			t.Errorf("%s: what is allowed isn't: %s", when, r.Stderr())
		}
		if r := s.Davit("exec", s.ID, "sh", "-c", "cat /dev/port1"); !strings.Contains(r.Stderr(), "Operation not permitted") {
			t.Errorf("%s: what is denied isn't: %d %s", when, r.Code, r.Stderr())
		}
	}
	check("created")
	if onV2(t) {
		// systemd has no opinion, so it has nothing to enforce.
		if got := m.show(unit, "DevicePolicy"); got != "auto" && got != "" {
			t.Errorf("DevicePolicy is %q", got)
		}
	} else {
		m.expect(unit, "DevicePolicy=strict")
		if got := m.show(unit, "DeviceAllow"); !strings.Contains(got, "/dev/char/1:11 ") {
			t.Errorf("DeviceAllow is %q", got)
		}
	}
	m.reload()
	check("after a reload")
	s.Delete()
}

func TestUnitAnnotations(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox()
	s.Spec.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.KillSignal": "int32 37"}
	create(s).Succeeds()
	m.expect(unit, "TimeoutStopUSec=7000000", "KillSignal=37")
	s.Delete()
	s.Spec.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "soon"}
	create(s).Fails(`annotations["org.systemd.property.TimeoutStopSec"]`, "GVariant")
	if m.active(unit) {
		t.Errorf("%s is left", unit)
	}
	if m.double == nil {
		s.Spec.Annotations = map[string]string{"org.systemd.property.Nonsense": "true"}
		create(s).Fails("systemd refuses StartTransientUnit", "Nonsense")
	}
}

// The second container doesn't get the unit of the first, and doesn't harm it either.
func TestUnitTaken(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox()
	start(s)
	other := harness.New(t, harness.Args("/bin/sleep", "100"))
	other.Spec.Linux.CgroupsPath = s.Spec.Linux.CgroupsPath
	create(other).Fails(unit+" exists already", "choose another id or linux.cgroupsPath")
	if !m.active(unit) {
		t.Errorf("%s is gone", unit)
	}
	s.WaitStatus(specs.StateRunning)
	s.Delete()
}

func TestUnitPathsRefused(t *testing.T) {
	m := manager(t)
	for path, want := range map[string]string{
		"/a/b":                   `expected cgroupsPath to be of format "slice:prefix:name"`,
		"davit-test:box:x":       "ends in .slice",
		"davit--test.slice:b:x":  "can't be the name of a slice",
		"davit-test.slice:b:x y": "can't be a unit's name",
	} {
		s, _ := m.sandbox()
		s.Spec.Linux.CgroupsPath = path
		create(s).Fails("linux.cgroupsPath", want)
	}
}

// What fails after the unit was made leaves none.
func TestUnitOfFailedCreate(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox(harness.Args("/bin/nothing"))
	create(s).Fails("/bin/nothing")
	if m.active(unit) {
		t.Errorf("%s is left", unit)
	}
}

// A container that died needs no help: its unit has ended, or is ended.
func TestUnitOfKilled(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox()
	start(s)
	if err := unix.Kill(s.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.WaitStatus(specs.StateStopped)
	s.Delete()
	if m.active(unit) {
		t.Errorf("%s is still active", unit)
	}
}

// Without its record a container is found by its configuration.
func TestUnitWithoutRecord(t *testing.T) {
	m := manager(t)
	s, unit := m.sandbox()
	start(s)
	if err := os.WriteFile(filepath.Join(s.Root, s.ID, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Davit("delete", "--force", s.ID).Succeeds()
	if m.active(unit) {
		t.Errorf("%s is still active", unit)
	}
}

func TestUnitOfFailedName(t *testing.T) {
	m := manager(t)
	m.needDouble()
	s, unit := m.sandbox()
	m.double.SetState(unit, "failed")
	create(s).Succeeds()
	if !m.active(unit) {
		t.Errorf("%s is not active", unit)
	}
	s.Delete()
}

func TestUnitJobFails(t *testing.T) {
	m := manager(t)
	m.needDouble()
	s, unit := m.sandbox()
	m.double.Spoil("StartTransientUnit", systemdtest.Fault{Result: "failed", OnlyOnce: true})
	create(s).Fails("StartTransientUnit", `result "failed"`, "journalctl -u "+unit)
	if m.active(unit) {
		t.Errorf("%s is left", unit)
	}
}

// Whatever goes wrong before the unit is certainly this container's, another's of that name isn't touched.
func TestUnitOfAnotherSurvives(t *testing.T) {
	m := manager(t)
	m.needDouble()
	s, unit := m.sandbox()
	start(s)
	for name, spoil := range map[string]systemdtest.Fault{
		"refused":  {Error: "org.freedesktop.DBus.Error.AccessDenied", OnlyOnce: true},
		"unsaid":   {Drop: true, OnlyOnce: true},
		"a string": {},
	} {
		other := harness.New(t, harness.Args("/bin/sleep", "100"))
		other.Spec.Linux.CgroupsPath = s.Spec.Linux.CgroupsPath
		if name == "a string" {
			other.Spec.Annotations = map[string]string{"org.systemd.property.Description": `'\u0000'`}
		} else {
			m.double.Spoil("StartTransientUnit", spoil)
		}
		if r := create(other); r.Code != 1 {
			t.Errorf("%s: exit code %d", name, r.Code)
		}
		if !m.active(unit) || s.State().Status != specs.StateRunning {
			t.Fatalf("%s: the other container's unit or process is gone", name)
		}
	}
	s.Delete()
}

// A manager that hangs costs half a minute, not a container that hangs as well.
func TestUnitOfHangingSystemd(t *testing.T) {
	m := manager(t)
	m.needDouble()
	if testing.Short() || !onV2(t) {
		t.Skip("takes as long as davit waits, half a minute: once, and not in -short")
	}
	s, _ := m.sandbox()
	m.double.Spoil("StartTransientUnit", systemdtest.Fault{Hang: true})
	defer m.double.Spoil("StartTransientUnit", systemdtest.Fault{})
	began := time.Now()
	s.WriteConfig()
	c := s.Command("create", "--systemd-cgroup", "--bundle", s.Bundle, s.ID)
	c.Cancel = func() error { return nil } // the deadline is davit's
	c.Do().Fails("did not finish StartTransientUnit within 30s", "systemctl list-jobs")
	if took := time.Since(began); took < 25*time.Second || took > 50*time.Second {
		t.Errorf("it took %v", took)
	}
}
