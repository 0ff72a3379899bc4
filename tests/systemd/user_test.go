package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// user finds somebody whose systemd manager runs, and whose uid that is.
func user(t *testing.T) int {
	t.Helper()
	if !isReal() {
		t.Skip("needs a user's systemd manager, which only runs below a real one")
	}
	sockets, _ := filepath.Glob("/run/user/*/systemd/private")
	for _, s := range sockets {
		if uid, err := strconv.Atoi(strings.Split(s, "/")[3]); err == nil && uid > 0 {
			return uid
		}
	}
	t.Skip("no user's systemd manager runs (`loginctl enable-linger USER` starts one)")
	return 0
}

// rootless gives a sandbox to the user, with the configuration of `davit spec --rootless`. The
// commands' environment holds nothing but these variables.
func rootless(t *testing.T, uid int, env ...string) *harness.Sandbox {
	t.Helper()
	harness.NeedTool(t, "setpriv", "util-linux")
	s := harness.New(t)
	id := strconv.Itoa(uid)
	harness.Tool(t, "chown", "-R", id+":"+id, s.Dir)
	s.Prefix = append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	s.Davit("spec", "--rootless", "--bundle", s.Bundle).Succeeds()
	data, err := os.ReadFile(filepath.Join(s.Bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.Spec = &specs.Spec{}
	if err := json.Unmarshal(data, s.Spec); err != nil {
		t.Fatal(err)
	}
	s.Spec.Process.Terminal = false
	s.Spec.Linux.CgroupsPath = ":box:" + s.ID
	s.Spec.Process.Args = []string{"/bin/sleep", "100"}
	return s
}

// The user's processes are outside of their manager's cgroup here, as in a login session: only
// systemd can move one there.
func TestUserUnit(t *testing.T) {
	uid := user(t)
	runtime := fmt.Sprintf("/run/user/%d", uid)
	for name, env := range map[string][]string{
		"private": {"XDG_RUNTIME_DIR=" + runtime},
		"default": {}, // it is found by the uid alone
		"bus":     {"XDG_RUNTIME_DIR=/nonexistent", "DBUS_SESSION_BUS_ADDRESS=unix:path=" + runtime + "/bus"},
	} {
		t.Run(name, func(t *testing.T) {
			s := rootless(t, uid, env...)
			userLife(t, s, uid)
		})
	}
}

func userLife(t *testing.T, s *harness.Sandbox, uid int) {
	t.Helper()
	unit := "box-" + s.ID + ".scope"
	s.Spec.Linux.Resources = &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: harness.Pointer(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(42))},
	}
	start(s)
	dir := fmt.Sprintf("/sys/fs/cgroup/user.slice/user-%d.slice/user@%d.service/user.slice/%s/", uid, uid, unit)
	check := func(file, want string) {
		t.Helper()
		if got, err := os.ReadFile(dir + file); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s is %q, want %q, %v", file, got, want, err)
		}
	}
	check("memory.max", "67108864")
	check("pids.max", "42")
	s.Davit("exec", "--detach", s.ID, "sleep", "100").Succeeds()
	if pids, err := os.ReadFile(dir + "cgroup.procs"); err != nil || strings.Count(string(pids), "\n") != 2 {
		t.Errorf("in the unit are the processes %q, %v", pids, err)
	}
	if lines := strings.Count(s.Davit("ps", s.ID).Stdout(), "\n"); lines != 3 {
		t.Errorf("ps shows %d lines", lines)
	}
	s.Davit("update", "--memory", "96M", "--pids-limit", "77", s.ID).Succeeds()
	s.Davit("pause", s.ID).Succeeds()
	s.WaitStatus("paused")
	s.Davit("resume", s.ID).Succeeds()
	harness.Tool(t, "setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(uid), "--clear-groups",
		"env", fmt.Sprintf("XDG_RUNTIME_DIR=/run/user/%d", uid), "systemctl", "--user", "daemon-reload")
	check("memory.max", "100663296")
	check("pids.max", "77")
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
}

// An engine without privilege runs davit as uid 0 of a user namespace: the manager sees its user.
func TestUserUnitFromUserNamespace(t *testing.T) {
	uid := user(t)
	s := rootless(t, uid, fmt.Sprintf("XDG_RUNTIME_DIR=/run/user/%d", uid))
	s.Prefix = append(s.Prefix, "unshare", "--user", "--map-root-user", "--mount")
	// The namespace goes with each command, and so the container has one of its own in it.
	s.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}}
	s.Spec.Linux.GIDMappings = s.Spec.Linux.UIDMappings
	s.Spec.Process.Args = []string{"/bin/cat", "/proc/self/cgroup"}
	harness.WithoutNamespace(specs.CgroupNamespace)(s.Spec)
	s.WriteConfig()
	r := s.Davit("run", "--systemd-cgroup", "--bundle", s.Bundle, s.ID)
	if want := fmt.Sprintf("/user@%d.service/user.slice/box-%s.scope\n", uid, s.ID); r.Code != 0 || !strings.Contains(r.Stdout(), want) {
		t.Errorf("exit code %d, %s%s", r.Code, r.Stdout(), r.Stderr())
	}
}

func TestUserWithoutManager(t *testing.T) {
	uid := user(t)
	s := rootless(t, uid+4000)
	create(s).Fails("connect to systemd", "loginctl enable-linger", "leave out --systemd-cgroup")
}
