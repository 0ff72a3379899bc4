package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// The ordinary user of the machine, with a manager of his own.
const (
	tester       = 1000
	testerRun    = "/run/user/1000"
	testerSubids = 100000
)

// asTester runs a program as the user, with what a login gives to him.
func asTester(t testing.TB, line ...string) string {
	t.Helper()
	return harness.Tool(t, append(testerPrefix(), line...)...)
}

func testerPrefix() []string {
	return []string{"setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", "HOME=/home/tester", "USER=tester",
		"XDG_RUNTIME_DIR=" + testerRun, "DBUS_SESSION_BUS_ADDRESS=unix:path=" + testerRun + "/bus"}
}

// rootless changes a configuration into one that the user can run: his own ids, and the host's network.
func rootless(s *specs.Spec) {
	harness.Namespace(specs.UserNamespace, "")(s)
	harness.WithoutNamespace(specs.NetworkNamespace)(s)
	own := []specs.LinuxIDMapping{{ContainerID: 0, HostID: tester, Size: 1}, {ContainerID: 1, HostID: testerSubids, Size: 65535}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = own, own
	for i := range s.Mounts {
		if s.Mounts[i].Destination == "/sys" {
			s.Mounts[i] = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
		}
	}
}

// newRootless makes a sandbox that belongs to the user, whose davit he runs.
func newRootless(t *testing.T, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	s := harness.New(t, append([]harness.Edit{rootless}, edits...)...)
	giveToTester(t, s)
	s.Prefix = testerPrefix()
	return s
}

func giveToTester(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	err := filepath.WalkDir(s.Dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Files that templates share stay root's.
		if info, err := os.Lstat(p); err != nil || !info.IsDir() {
			return err
		}
		return os.Lchown(p, tester, tester)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// delegated makes a unit of the user's manager that is his to divide, and lets the sandbox's davit run in it, in a cgroup
// beside the container's. It returns the unit's cgroup.
func delegated(t *testing.T, s *harness.Sandbox) string {
	t.Helper()
	unit := "delegated-" + s.ID + ".service"
	asTester(t, "systemd-run", "--user", "--quiet", "--unit="+unit, "--property=Delegate=yes", "sleep", "infinity")
	t.Cleanup(func() { asTester(t, "systemctl", "--user", "stop", unit) })
	group := strings.TrimSpace(asTester(t, "systemctl", "--user", "show", "--value", "--property=ControlGroup", unit))
	dir := "/sys/fs/cgroup" + group
	asTester(t, "sh", "-ec", "mkdir $0/manager; for p in $(cat $0/cgroup.procs); do echo $p >$0/manager/cgroup.procs; done", dir)
	s.Prefix = append([]string{"sh", "-ec", `echo 0 >$0/manager/cgroup.procs; exec "$@"`, dir}, testerPrefix()...)
	s.Spec.Linux.CgroupsPath = group + "/" + s.ID
	return dir
}

func TestRootlessWithoutCgroup(t *testing.T) {
	s := newRootless(t)
	s.Spec.Linux.CgroupsPath = ""
	if out := s.Sh("id -u; cat /proc/self/uid_map | wc -l"); out != "0\n2\n" {
		t.Errorf("inside: %q", out)
	}
}

// A limit that can't be had is an error, and says what to do.
func TestRootlessLimitNeedsDelegation(t *testing.T) {
	for _, path := range []string{"", "/davit-test-not-delegated"} {
		s := newRootless(t, resources(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(10))}}))
		s.Spec.Linux.CgroupsPath = path
		s.Run().Fails("cgroup")
	}
}

// In what systemd delegates to the user, limits work without a word to systemd.
func TestRootlessDelegated(t *testing.T) {
	limit := harness.Pointer(int64(32 * mib))
	s := newRootless(t, harness.Args("/bin/sleep", "1000"), resources(specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: limit, Swap: limit}, Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(20))},
		CPU: &specs.LinuxCPU{Quota: harness.Pointer(int64(50000)), Cpus: "0"},
	}))
	dir := delegated(t, s)
	t.Cleanup(s.Delete)
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	s.WaitStatus(specs.StateRunning)
	for file, want := range map[string]string{"memory.max": "33554432", "pids.max": "20", "cpu.max": "50000 100000", "cpuset.cpus": "0"} {
		if data, err := os.ReadFile(dir + "/" + s.ID + "/" + file); err != nil || strings.TrimSpace(string(data)) != want {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
	events := s.Command("events", "--interval", "1h", s.ID)
	events.Begin()
	if r := s.Davit("exec", s.ID, "/bin/sh", "-c", "exec "+hog); r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("the hog's exit code is %d\n%s", r.Code, r.Stderr())
	}
	if r := s.Davit("exec", s.ID, "/bin/sh", "-c", "i=0; while [ $i -lt 60 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done"); !strings.Contains(r.Stderr(), "fork") {
		t.Errorf("60 processes under a limit of 20: %d %s", r.Code, r.Stderr())
	}
	s.Davit("update", "--pids-limit", "40", s.ID).Succeeds()
	if st := readStats(s); st.Pids.Limit != 40 || st.Memory.Usage.Limit != 32*mib {
		t.Errorf("statistics: %+v", st)
	}
	s.Davit("pause", s.ID).Succeeds()
	if st := s.State().Status; st != "paused" {
		t.Errorf("status %q", st)
	}
	s.Davit("resume", s.ID).Succeeds()
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Delete()
	events.End().Succeeds()
	if _, err := os.Stat(dir + "/" + s.ID); err == nil {
		t.Error("the cgroup is still there")
	}
}

// Where AppArmor doesn't let davit make a user namespace, the error names it and what to do.
func TestUserNamespaceForbiddenByAppArmor(t *testing.T) {
	loadProfiles(t)
	noCgroup := func(c *specs.Spec) { c.Linux.CgroupsPath = "" }
	s := newRootless(t, noCgroup)
	s.Prefix = append(s.Prefix, "aa-exec", "-p", "davit-test-other", "--") // it lacks the rule userns
	s.Run().Fails("linux.namespaces", "AppArmor", "userns")
	// Kernels of Ubuntu's restrict whoever is unconfined.
	const restricts = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	before, err := os.ReadFile(restricts)
	if err != nil {
		return
	}
	if err := os.WriteFile(restricts, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.WriteFile(restricts, before, 0) }()
	newRootless(t, noCgroup).Run().Fails("AppArmor restricts", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
}
