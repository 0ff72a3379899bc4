package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// unit is the container as systemd knows it.
type unit struct {
	t    *testing.T
	name string
	dir  string   // its cgroup
	ctl  []string // systemctl of its manager
}

// systemd lets systemd make the sandbox's cgroups. Only the commands that make the container are told so.
func systemd(s *harness.Sandbox, slice string) {
	s.Flags = []string{"--systemd-cgroup"}
	s.Spec.Linux.CgroupsPath = slice + ":davit:" + s.ID
}

func unitOf(t *testing.T, s *harness.Sandbox, parent string, ctl ...string) *unit {
	u := &unit{t: t, name: "davit-" + s.ID + ".scope", ctl: append(ctl, "--no-pager")}
	u.dir = filepath.Join("/sys/fs/cgroup", parent, u.name)
	return u
}

// show reads a property.
func (u *unit) show(property string) string {
	u.t.Helper()
	return strings.TrimSpace(harness.Tool(u.t, append(u.ctl, "show", "--value", "--property="+property, u.name)...))
}

// is checks properties and files of the cgroup.
func (u *unit) is(want map[string]string) {
	u.t.Helper()
	for name, value := range want {
		var got string
		if strings.Contains(name, ".") {
			data, err := os.ReadFile(filepath.Join(u.dir, name))
			if err != nil {
				u.t.Error(err)
				continue
			}
			got = strings.TrimSpace(string(data))
		} else {
			got = u.show(name)
		}
		if got != value {
			u.t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// gone waits until nothing is left, not even a unit that failed.
func (u *unit) gone() {
	u.t.Helper()
	harness.Eventually(u.t, u.name+" to be forgotten", func() bool { return u.show("LoadState") == "not-found" })
	if _, err := os.Stat(u.dir); err == nil {
		u.t.Errorf("%s is still there", u.dir)
	}
}

func someLimits() harness.Edit {
	return resources(specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: harness.Pointer(int64(64 * mib)), Swap: harness.Pointer(int64(64 * mib))},
		Pids:   &specs.LinuxPids{Limit: harness.Pointer(int64(50))},
		CPU:    &specs.LinuxCPU{Shares: harness.Pointer(uint64(512)), Quota: harness.Pointer(int64(50000)), Period: harness.Pointer(uint64(100000)), Cpus: "0"},
	})
}

// life is what a container under systemd goes through, whoever's it is.
func (u *unit) life(s *harness.Sandbox) {
	t := u.t
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	s.Flags = nil
	s.Davit("start", s.ID).Succeeds()
	u.is(map[string]string{
		"ActiveState": "active", "Delegate": "yes", "MemoryMax": "67108864", "TasksMax": "50", "CPUWeight": "59", "CPUQuotaPerSecUSec": "500ms", "AllowedCPUs": "0",
		"memory.max": "67108864", "memory.swap.max": "0", "pids.max": "50", "cpu.weight": "59", "cpu.max": "50000 100000", "cpuset.cpus": "0",
	})
	if out := execute(s, "cat /proc/self/cgroup"); out != "0::/\n" {
		t.Errorf("a process that joined is in %q", out)
	}
	if r := s.Davit("exec", s.ID, "/bin/sh", "-c", "exec "+hog); r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("the hog's exit code is %d\n%s", r.Code, r.Stderr())
	}
	s.Davit("update", "--memory", "48M", "--memory-swap", "48M", "--pids-limit", "40", "--cpu-quota", "25000", "--cpuset-cpus", "1", s.ID).Succeeds()
	updated := map[string]string{
		"MemoryMax": "50331648", "TasksMax": "40", "CPUQuotaPerSecUSec": "250ms", "AllowedCPUs": "1",
		"memory.max": "50331648", "pids.max": "40", "cpu.max": "25000 100000", "cpuset.cpus": "1",
	}
	u.is(updated)
	harness.Tool(t, append(u.ctl, "daemon-reload")...)
	u.is(updated)
	if st := readStats(s); st.Pids.Limit != 40 || st.Memory.Usage.Limit != 48*mib {
		t.Errorf("statistics: %+v", st)
	}
	s.Davit("pause", s.ID).Succeeds()
	if st := s.State().Status; st != "paused" {
		t.Errorf("status %q", st)
	}
	s.Davit("update", "--pids-limit", "30", s.ID).Succeeds() // systemd thaws nothing by that
	if st := s.State().Status; st != "paused" {
		t.Errorf("status %q after an update", st)
	}
	s.Davit("resume", s.ID).Succeeds()
	execute(s, "true")
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Delete()
	u.gone()
}

func TestSystemdLife(t *testing.T) {
	s := harness.New(t, harness.Args("/bin/sleep", "1000"), someLimits())
	systemd(s, "system.slice")
	unitOf(t, s, "system.slice", "systemctl").life(s)
}

// A slice inside of slices, as Kubernetes has them, is made, and goes with the last unit in it.
func TestSystemdSlice(t *testing.T) {
	s := harness.New(t, harness.Args("/bin/sleep", "1000"), someLimits())
	systemd(s, "davittest-pods-one.slice")
	u := unitOf(t, s, "davittest.slice/davittest-pods.slice/davittest-pods-one.slice", "systemctl")
	u.life(s)
	harness.Tool(t, "systemctl", "stop", "davittest.slice")
}

// Without a path the unit has the name that runc's containers have.
func TestSystemdDefaultName(t *testing.T) {
	s := harness.New(t)
	s.Flags, s.Spec.Linux.CgroupsPath = []string{"--systemd-cgroup"}, ""
	u := unitOf(t, s, "system.slice", "systemctl")
	u.name = "runc-" + s.ID + ".scope"
	u.dir = "/sys/fs/cgroup/system.slice/" + u.name
	out := s.Sh("cat /proc/self/cgroup", harness.WithoutNamespace(specs.CgroupNamespace))
	if out != "0::/system.slice/"+u.name+"\n" {
		t.Errorf("the process is in %q", out)
	}
	u.gone()
}

// What systemd writes on a reload must not take the container's devices away, or give it others.
func TestSystemdReloadKeepsDevices(t *testing.T) {
	kmsg := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: harness.Pointer(int64(1)), Minor: harness.Pointer(int64(11)), Access: "rwm"}
	s := harness.New(t, harness.Args("/bin/sleep", "1000"), harness.AllCapabilities(),
		resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}, kmsg}}))
	systemd(s, "system.slice")
	u := unitOf(t, s, "system.slice", "systemctl")
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	s.Davit("start", s.ID).Succeeds()
	execute(s, "mknod /kmsg c 1 11 && mknod /disk b 254 0")
	open := "for d in /dev/null /dev/zero /kmsg /disk; do (exec 3<$d) 2>/dev/null && echo -n $d; done; true"
	for _, after := range []string{"create", "daemon-reload", "daemon-reexec", "set-property"} {
		switch after {
		case "daemon-reload", "daemon-reexec":
			harness.Tool(t, "systemctl", after)
		case "set-property":
			harness.Tool(t, "systemctl", "set-property", "--runtime", u.name, "TasksMax=77")
		}
		if out := execute(s, open); out != "/dev/null/dev/zero/kmsg" {
			t.Errorf("after %s these can be opened: %s", after, out)
		}
	}
	update := s.Command("update", "--resources", "-", s.ID).In(`{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":254,"minor":0,"access":"r"}]}`)
	update.Do().Succeeds()
	harness.Tool(t, "systemctl", "daemon-reload")
	if out := execute(s, open); out != "/dev/null/dev/zero/disk" {
		t.Errorf("after update and reload these can be opened: %s", out)
	}
	s.Delete()
	u.gone()
}

func TestSystemdAnnotations(t *testing.T) {
	s := harness.New(t, harness.Args("/bin/sleep", "1000"), func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "uint64 7", "org.systemd.property.Description": "'a boat'"}
	})
	systemd(s, "system.slice")
	u := unitOf(t, s, "system.slice", "systemctl")
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	u.is(map[string]string{"TimeoutStopUSec": "7s", "Description": "a boat"})
	bad := harness.New(t, func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.systemd.property.NoSuchThing": "uint64 7"}
	})
	systemd(bad, "system.slice")
	bad.Run().Fails("NoSuchThing")
	unitOf(t, bad, "system.slice", "systemctl").gone()
}

// systemctl stop ends the container; davit takes it as that.
func TestSystemdStopsTheUnit(t *testing.T) {
	s := harness.New(t, harness.Args("/bin/sleep", "1000"))
	systemd(s, "system.slice")
	u := unitOf(t, s, "system.slice", "systemctl")
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	s.Davit("start", s.ID).Succeeds()
	u.is(map[string]string{"ActiveState": "active"})
	harness.Tool(t, "systemctl", "kill", "--signal=KILL", u.name)
	s.WaitStatus(specs.StateStopped)
	s.Davit("exec", s.ID, "/bin/true").FailsWith(255, "stopped")
	s.Davit("delete", s.ID).Succeeds()
	u.gone()
}

// What fails leaves no unit.
func TestSystemdFailureLeavesNothing(t *testing.T) {
	for name, edit := range map[string]harness.Edit{
		"no such program": harness.Args("/no/such/program"),
		"a bad limit":     resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "77"}}),
		"a bad mount":     harness.Mount(specs.Mount{Destination: "/mnt", Type: "bind", Source: "/no/such/source", Options: []string{"bind"}}),
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.New(t, edit)
			systemd(s, "system.slice")
			s.Run().Fails()
			unitOf(t, s, "system.slice", "systemctl").gone()
		})
	}
	s := harness.New(t, harness.Shell("exit 3"))
	systemd(s, "system.slice")
	s.Run().FailsWith(3)
	unitOf(t, s, "system.slice", "systemctl").gone()
}

// The user's manager makes the cgroups of the user's containers, from wherever davit is started.
func TestSystemdRootless(t *testing.T) {
	manager := fmt.Sprintf("user.slice/user-%d.slice/user@%d.service", tester, tester)
	ctl := append(testerPrefix(), "systemctl", "--user")
	for _, from := range []string{"the user's manager", "elsewhere"} {
		t.Run(from, func(t *testing.T) {
			s := newRootless(t, harness.Args("/bin/sleep", "1000"), someLimits())
			if from != "elsewhere" {
				delegated(t, s)
			}
			systemd(s, "user.slice")
			unitOf(t, s, manager+"/user.slice", ctl...).life(s)
		})
	}
}
