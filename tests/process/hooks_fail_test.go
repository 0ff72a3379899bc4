package process

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// failing makes a container in which the second hook of a kind fails, and notes which others run.
func failing(t *testing.T, kind, how string, timeout *int) *harness.Sandbox {
	t.Helper()
	s := harness.New(t, harness.Shell("echo process >>/log; exec sleep 1000"))
	s.WriteFile("/log", "", 0o666)
	add(s, kind, script(s, kind, "echo $KIND-first >>$LOG"), script(s, kind, how), script(s, kind, "echo $KIND-third >>$LOG"))
	list(s.Spec.Hooks, kind)
	(*list(s.Spec.Hooks, kind))[1].Timeout = timeout
	if kind != "poststop" {
		add(s, "poststop", script(s, "poststop", "echo poststop >>$LOG"))
	}
	return s
}

func logOf(t *testing.T, s *harness.Sandbox) string {
	t.Helper()
	data, err := os.ReadFile(s.Path("log"))
	if err != nil {
		t.Fatal(err)
	}
	return fields(string(data))
}

const fail = "echo said on output; echo said on error >&2; exit 3"

// A failing hook is the end of the container, with what the hook said (runtime.md, Lifecycle 4 to 9).
func TestHookFails(t *testing.T) {
	t.Parallel()
	want := func(kind string) []string {
		return []string{"hooks." + kind + "[1] (/bin/sh): ", "exit status 3", "said on output", "said on error"}
	}
	for _, kind := range kinds[:3] {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := failing(t, kind, fail, nil)
			s.Create().Fails(want(kind)...)
			if got := logOf(t, s); got != kind+"-first poststop" {
				t.Errorf("what ran is %q", got)
			}
			s.Davit("state", s.ID).Fails("container does not exist")
			s.CheckHost()
			s.Run().Fails(want(kind)...)
			s.Davit("state", s.ID).Fails("container does not exist")
		})
	}
	t.Run("startContainer", func(t *testing.T) {
		t.Parallel()
		s := failing(t, "startContainer", fail, nil)
		s.Create().Succeeds()
		s.Davit("start", s.ID).Fails(want("startContainer")...)
		s.Davit("state", s.ID).Fails("container does not exist")
		s.CheckHost()
		if got := logOf(t, s); got != "startContainer-first poststop" {
			t.Errorf("what ran is %q", got)
		}
		s.Run().Fails(want("startContainer")...)
		s.Davit("state", s.ID).Fails("container does not exist")
		if got := logOf(t, s); strings.Contains(got, "process") {
			t.Errorf("the process was executed: %q", got)
		}
	})
	t.Run("poststart", func(t *testing.T) {
		t.Parallel()
		s := failing(t, "poststart", fail, nil)
		s.Create().Succeeds()
		s.Davit("start", s.ID).Fails(want("poststart")...)
		s.Davit("state", s.ID).Fails("container does not exist")
		s.CheckHost()
		s.WriteConfig()
		for _, detach := range []string{"--detach=false", "--detach"} {
			s.Davit("run", detach, "--bundle", s.Bundle, s.ID).Fails(want("poststart")...)
			s.Davit("state", s.ID).Fails("container does not exist")
			s.CheckHost()
		}
		if got := logOf(t, s); strings.Count(got, "poststart-first") != 3 || strings.Count(got, "poststop") != 3 || strings.Contains(got, "third") {
			t.Errorf("what ran is %q", got)
		}
	})
	// Only a warning, and the others follow.
	t.Run("poststop", func(t *testing.T) {
		t.Parallel()
		s := failing(t, "poststop", fail, nil)
		start(s)
		r := s.Davit("delete", "--force", s.ID)
		r.Succeeds()
		text := strings.ReplaceAll(r.Stderr(), `\"`, `"`)
		for _, w := range append(want("poststop"), "level=warn") {
			if !strings.Contains(text, w) {
				t.Errorf("the warning doesn't say %q: %s", w, text)
			}
		}
		if got := strings.TrimPrefix(logOf(t, s), "process "); got != "poststop-first poststop-third" {
			t.Errorf("what ran is %q", got)
		}
		s.Davit("state", s.ID).Fails("container does not exist")
		s.Edit(harness.Shell("exit 7"))
		s.WriteConfig()
		if r := s.Davit("run", "--bundle", s.Bundle, s.ID); r.Code != 7 {
			t.Errorf("run: exit code %d: %s", r.Code, r.Stderr())
		}
	})
}

// A hook that takes longer than it may is killed, with all that it has started.
func TestHookTimeout(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := failing(t, kind, "echo going to sleep; sleep 77.5 & sleep 77.5", harness.Pointer(1))
			begin := time.Now()
			r := s.Run(harness.Args("/bin/sleep", "0.1"))
			if kind == "poststop" {
				r.Succeeds()
			} else {
				r.Fails("hooks."+kind+"[1] (/bin/sh): killed after its timeout of 1 s", "going to sleep")
			}
			if took := time.Since(begin); took < time.Second || took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			harness.Eventually(t, "the end of what the hook has started", func() bool {
				out, _ := command("pgrep", "-f", "sleep 77.5")
				for _, pid := range strings.Fields(out) {
					environ, _ := os.ReadFile("/proc/" + pid + "/environ")
					if strings.Contains(string(environ), "LOG="+s.Path("log")+"\x00") || strings.Contains(string(environ), "KIND="+kind+"\x00") {
						return false
					}
				}
				return true
			})
		})
	}
}

func TestHookCannotRun(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds[:5] {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/true"))
			add(s, kind, specs.Hook{Path: "/no/such/hook"})
			s.Run().Fails("hooks."+kind+"[0]", "/no/such/hook", "no such file or directory")
			s.Davit("state", s.ID).Fails("container does not exist")
		})
	}
	s := harness.New(t, harness.Args("/bin/true"))
	for _, c := range []struct {
		hook specs.Hook
		want string
	}{{specs.Hook{Path: "hook"}, "absolute"}, {specs.Hook{Path: "/bin/true", Timeout: harness.Pointer(0)}, "timeout"}, {specs.Hook{Path: "/bin/true", Timeout: harness.Pointer(-1)}, "timeout"}} {
		for _, kind := range kinds {
			s.Spec.Hooks = nil
			add(s, kind, c.hook)
			s.Run().Fails("hooks."+kind, c.want)
		}
	}
}

// One that is killed by a signal has failed; one that doesn't read its input, or writes a lot, has not.
func TestHookEnds(t *testing.T) {
	t.Parallel()
	s := failing(t, "createRuntime", "kill -9 $$", nil)
	s.Run().Fails("hooks.createRuntime[1]", "killed by SIGKILL")
	s = failing(t, "createRuntime", "exec <&-; yes | head -c 3000000; exit 0", nil)
	s.Run(harness.Args("/bin/true")).Succeeds()
	s = failing(t, "createRuntime", "yes some output | head -c 3000000; echo the end; exit 1", nil)
	r := s.Run()
	r.Fails("the end")
	if n := len(r.Stderr()); n > 100<<10 {
		t.Errorf("the error has %d bytes", n)
	}
	// The state may be larger than a pipe.
	s = harness.New(t, harness.Args("/bin/true"))
	s.Spec.Annotations = map[string]string{"org.example": strings.Repeat("x", 500<<10)}
	for _, kind := range kinds {
		add(s, kind, script(s, kind, fmt.Sprintf("[ $(wc -c) -gt %d ] || exit 1", 500<<10)))
	}
	r = s.Run()
	r.Succeeds()
	if r.Stderr() != "" {
		t.Errorf("a hook failed: %s", r.Stderr())
	}
}

// In a container with a user namespace the hooks inside are root of that.
func TestHookInUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), harness.Args("/bin/true"))
	if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"createContainer", "startContainer"} {
		add(s, kind, script(s, kind, `read a b c </proc/self/uid_map; [ "$(id -u) $(id -g) $a $b" = "0 0 0 100000" ] || { id; cat /proc/self/uid_map; exit 1; }`))
	}
	add(s, "createRuntime", script(s, "createRuntime", `read a b c </proc/self/uid_map; [ "$(id -u) $b" = "0 0" ]`))
	s.Run().Succeeds()
}
