package cgroups

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

const nobody = 65534

// asNobody runs davit without any right to make cgroups.
func asNobody(s *harness.Sandbox, args ...string) *harness.Result {
	s.T.Helper()
	c := s.Command(args...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	c.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+s.Dir, "HOME="+s.Dir)
	return c.Do()
}

// rootless makes a sandbox that belongs to nobody, with a configuration for him.
func rootless(t *testing.T) *harness.Sandbox {
	t.Helper()
	s := harness.New(t)
	dir := filepath.Join(s.Dir, "spec")
	for _, d := range []string{dir, s.Root} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-R", "65534:65534", s.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	asNobody(s, "spec", "--rootless", "--bundle", dir).Succeeds()
	spec := new(specs.Spec)
	if err := json.Unmarshal([]byte(readFile(t, dir+"/config.json")), spec); err != nil {
		t.Fatal(err)
	}
	spec.Process.Terminal = false
	s.Spec = spec
	return s
}

// Without delegated cgroups a rootless container does without them; what its configuration
// asks of them is an error, but for device rules, of which it is warned.
func TestRootlessWithoutDelegation(t *testing.T) {
	t.Parallel()
	s := rootless(t)
	for _, c := range []struct {
		name, path, res string
		fails           string
		warns           string
	}{
		{name: "nothing asked"},
		{name: "unset values", res: `{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0},"pids":{"limit":-1}}`},
		{name: "device rules", res: `{"devices":[{"allow":false,"access":"rwm"}]}`, warns: "linux.resources.devices: not enforced"},
		{name: "a limit", res: `{"pids":{"limit":5}}`, fails: "linux.resources.pids.limit: the pids controller is not available: the container has no cgroup"},
		{name: "a path", path: "/not/delegated", fails: "linux.cgroupsPath asks for it"},
		{name: "a relative path", path: "not/delegated", fails: "linux.cgroupsPath asks for it"},
	} {
		s.Edit(harness.Shell("echo ran"))
		s.Spec.Linux.CgroupsPath, s.Spec.Linux.Resources = c.path, nil
		if c.res != "" {
			s.Edit(resources(t, c.res))
		}
		s.WriteConfig()
		r := asNobody(s, "run", "--bundle", s.Bundle, s.ID)
		if c.fails != "" {
			r.Fails(c.fails)
			continue
		}
		if r.Code != 0 || r.Stdout() != "ran\n" || !strings.Contains(r.Stderr(), c.warns) {
			t.Errorf("%s: exit code %d, %s%s", c.name, r.Code, r.Stdout(), r.Stderr())
		}
	}
	s.Edit(harness.Args("/bin/sleep", "100"))
	s.Spec.Linux.CgroupsPath, s.Spec.Linux.Resources = "", nil
	s.WriteConfig()
	asNobody(s, "run", "-d", "--bundle", s.Bundle, s.ID).Succeeds()
	asNobody(s, "pause", s.ID).Fails("the container is in no cgroup that can be frozen")
	asNobody(s, "events", "--stats", s.ID).Fails("cgroup not exist")
	asNobody(s, "update", "--pids-limit", "5", s.ID).Fails("the pids controller is not available")
	asNobody(s, "exec", s.ID, "true").Succeeds()
	asNobody(s, "kill", "--all", s.ID, "KILL").Succeeds()
	asNobody(s, "delete", "--force", s.ID).Succeeds()
}

// A delegated subtree of the unified hierarchy is used by somebody who isn't root.
func TestRootlessDelegated(t *testing.T) {
	t.Parallel()
	if unified() != mountpoint {
		t.Skip("version 1 hierarchies can't be delegated safely: for a host with cgroup v2 alone")
	}
	s := rootless(t)
	top := mountpoint + "/" + s.ID
	if err := os.Mkdir(top, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{top + "/own", top} {
			_ = os.Remove(dir)
		}
	})
	if err := os.Mkdir(top+"/own", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads", "/own", "/own/cgroup.procs"} {
		if err := os.Chown(top+file, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	s.Spec.Linux.CgroupsPath = "/" + s.ID + "/container"
	s.Edit(harness.Args("/bin/sleep", "100"), resources(t, `{"devices":[{"allow":false,"access":"rwm"}],"unified":{"cgroup.max.depth":"2"}}`))
	s.WriteConfig()
	run := func(args ...string) *harness.Result {
		t.Helper()
		// A process moves into a cgroup only from one that has a parent of its owner's in common.
		c := s.Command(args...)
		dir, err := os.Open(top + "/own")
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		c.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+s.Dir, "HOME="+s.Dir)
		return c.Do()
	}
	run("run", "-d", "--bundle", s.Bundle, s.ID).Succeeds()
	if got := readFile(t, top+"/container/cgroup.max.depth"); got != "2" {
		t.Errorf("cgroup.max.depth is %s", got)
	}
	run("pause", s.ID).Succeeds()
	if got := readFile(t, top+"/container/cgroup.freeze"); got != "1" {
		t.Errorf("cgroup.freeze is %s", got)
	}
	run("delete", "--force", s.ID).Succeeds()
	if _, err := os.Stat(top + "/container"); err == nil {
		t.Error("the container's cgroup is left")
	}
}
