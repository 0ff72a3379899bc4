package rootless

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Where the state of an ordinary user's containers is, and what is said where it can't be.
func TestRuntimeDir(t *testing.T) {
	t.Parallel()
	s := skipper.sandbox(t, harness.Args("/bin/sleep", "1000"))
	s.WriteConfig()
	run := filepath.Join(s.Dir, "run")

	t.Run("set", func(t *testing.T) {
		skipper.davit(s, "create", "--bundle", s.Bundle, s.ID).Do().Succeeds()
		defer s.Delete()
		var info os.FileInfo
		info, err := os.Stat(filepath.Join(run, "davit", s.ID))
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf("the state has mode %s", info.Mode())
		}
	})
	t.Run("unset", func(t *testing.T) {
		r := harness.Command(t, append(skipper.as(path), harness.Binary(t), "create", "--bundle", s.Bundle, s.ID)...).Do()
		r.Fails("/run/davit", "XDG_RUNTIME_DIR", "--root")
		r = harness.Command(t, append(skipper.as(path), harness.Binary(t), "--root", s.Root, "list", "--quiet")...).Do()
		r.Succeeds()
	})
	t.Run("somebody else's", func(t *testing.T) {
		for _, u := range []*account{hand, {uid: 0}} {
			foreign := filepath.Join(s.Dir, "foreign")
			must(t, os.MkdirAll(foreign, 0o700))
			u.own(t, foreign)
			r := harness.Command(t, append(skipper.as(path, "XDG_RUNTIME_DIR="+foreign), harness.Binary(t), "create", "--bundle", s.Bundle, s.ID)...).Do()
			r.Fails(foreign, "permission denied", "XDG_RUNTIME_DIR")
			must(t, os.RemoveAll(foreign))
		}
	})
	t.Run("with a state that somebody else prepared", func(t *testing.T) {
		shared := filepath.Join(s.Dir, "shared")
		must(t, os.MkdirAll(filepath.Join(shared, "davit"), 0o777))
		must(t, os.Chmod(shared, 0o777|os.ModeSticky))
		must(t, os.Chmod(filepath.Join(shared, "davit"), 0o777))
		hand.own(t, filepath.Join(shared, "davit"))
		for _, command := range [][]string{{"create", "--bundle", s.Bundle, s.ID}, {"list"}, {"delete", "--force", s.ID}} {
			r := harness.Command(t, append(append(skipper.as(path, "XDG_RUNTIME_DIR="+shared), harness.Binary(t)), command...)...).Do()
			r.Fails("refusing to use", shared)
		}
	})
	t.Run("missing", func(t *testing.T) {
		r := harness.Command(t, append(skipper.as(path, "XDG_RUNTIME_DIR=/run/user/471100"), harness.Binary(t), "create", "--bundle", s.Bundle, s.ID)...).Do()
		r.Fails("/run/user", "XDG_RUNTIME_DIR")
	})
}

// Some engines run davit as uid 0 of their own user namespace, and some of their calls have no other variable than XDG_RUNTIME_DIR.
func TestRootOfAUserNamespace(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "unshare", "util-linux")
	s := skipper.sandbox(t)
	s.Spec = harness.BaseSpec("")
	s.Edit(harness.Args("/bin/sleep", "1000"))
	s.WriteConfig()
	run := filepath.Join(s.Dir, "run")
	// An engine's process, which stays: its user and mount namespaces are those of all calls.
	engine := harness.Command(t, append(s.Prefix, "unshare", "--user", "--mount", "--map-auto", "--map-root-user", "sh", "-c", "echo ready; exec sleep 1000")...)
	engine.Begin()
	engine.Written("ready")
	t.Cleanup(func() { _ = engine.Process.Kill(); engine.End() })
	inside := func(env []string, args ...string) *harness.Result {
		line := append([]string{"nsenter", "--user", "--mount", "--target", strconv.Itoa(engine.Process.Pid), "env", "-i"}, env...)
		return harness.Command(t, append(append(line, harness.Binary(t)), args...)...).Do()
	}
	only := []string{"XDG_RUNTIME_DIR=" + run}
	full := append([]string{path, "HOME=/", "USER=" + skipper.name}, only...)
	inside(full, "create", "--bundle", s.Bundle, s.ID).Succeeds()
	if _, err := os.Stat(filepath.Join(run, "davit", s.ID)); err != nil {
		t.Error(err)
	}
	inside(only, "start", s.ID).Succeeds()
	inside(full, "exec", s.ID, "/bin/true").Succeeds()
	inside(only, "state", s.ID).Succeeds()
	inside(only, "kill", s.ID, "KILL").Succeeds()
	harness.Eventually(t, "the container's end", func() bool {
		return strings.Contains(inside(only, "state", s.ID).Stdout(), `"stopped"`)
	})
	inside(only, "delete", "--force", s.ID).Succeeds()
	if left := inside(only, "list", "--quiet"); left.Stdout() != "" {
		t.Errorf("left are %s", left.Stdout())
	}
}

// uid 0 of a user namespace that has no mounts of its own: what is bound is looked up inside the container's.
func TestRootWithForeignMounts(t *testing.T) {
	t.Parallel()
	s := skipper.sandbox(t, func(c *specs.Spec) { c.Linux.UIDMappings[0].HostID, c.Linux.GIDMappings[0].HostID = 0, 0 },
		harness.Mount(specs.Mount{Destination: "/bound", Source: "/usr", Options: []string{"rbind", "ro"}}), harness.Shell("ls /bound/bin >/dev/null && cat /proc/self/uid_map"))
	s.Prefix = append(s.Prefix, "unshare", "--user", "--map-root-user")
	if got := fields(s.Output()); got != "0 0 1" {
		t.Errorf("the mapping is %s", got)
	}
}
