package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

const beingCreated = "container is being created"

// blocked begins to make a container whose hook of a kind waits until release is called, or the test is over.
func blocked(t *testing.T, kind string, line func(s *harness.Sandbox) []string) (s *harness.Sandbox, c *harness.Cmd, release func()) {
	t.Helper()
	s = harness.New(t, harness.Args("/bin/sleep", "1000"))
	s.WriteFile("/inside-the-container", "", 0o644)
	reached, released := filepath.Join(s.Dir, "reached"), filepath.Join(s.Dir, "released")
	add(s, kind, script(s, kind, "echo >"+reached+"; while [ -e "+reached+" ] && [ ! -e "+released+" ]; do sleep 0.01; done"))
	s.WriteConfig()
	c = s.Command(line(s)...)
	c.Begin()
	harness.Eventually(t, "the hook", func() bool { _, err := os.Stat(reached); return err == nil })
	return s, c, func() {
		t.Helper()
		if err := os.WriteFile(released, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func createLine(s *harness.Sandbox) []string {
	return []string{"create", "--bundle", s.Bundle, s.ID}
}

func runLine(s *harness.Sandbox) []string {
	return []string{"run", "--detach", "--bundle", s.Bundle, s.ID}
}

var makers = map[string]func(*harness.Sandbox) []string{"create": createLine, "run": runLine}

// What others may do with a container that is being made, and that none of them waits for its maker.
func TestCreating(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds[:3] {
		for name, line := range makers {
			t.Run(kind+" of "+name, func(t *testing.T) {
				t.Parallel()
				s, c, release := blocked(t, kind, line)
				st := s.State()
				if st.Status != specs.StateCreating || st.Pid <= 0 {
					t.Errorf("the state is %s, pid %d", st.Status, st.Pid)
				}
				if r := s.Davit("list"); !strings.Contains(r.Stdout(), " creating ") {
					t.Errorf("list says %s", r.Stdout())
				}
				begin := time.Now()
				for _, args := range [][]string{{"start", s.ID}, {"update", "--pids-limit", "7", s.ID}, {"pause", s.ID}, {"resume", s.ID},
					{"kill", s.ID, "KILL"}, {"kill", "--all", s.ID, "KILL"}} {
					s.Davit(args...).Fails("cannot "+args[0], beingCreated)
				}
				s.Davit("exec", s.ID, "/bin/true").FailsWith(255, "cannot exec", beingCreated)
				s.Davit("exec", "--create", "job", s.ID, "/bin/true").FailsWith(255, "cannot exec", beingCreated)
				s.Davit("delete", s.ID).Fails("cannot delete container " + s.ID + " that is not stopped: creating")
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("that took %s: something was waited for", took)
				}
				if list := pids(s); !slices.Equal(list, []int{st.Pid}) && kind != "createContainer" { // whose hook is in it
					t.Errorf("ps lists %v, not %d", list, st.Pid)
				}
				release()
				c.End().Succeeds()
				if now := s.State(); now.Status != map[string]specs.ContainerState{"create": specs.StateCreated, "run": specs.StateRunning}[name] || now.Pid != st.Pid {
					t.Errorf("afterwards the state is %s, pid %d", now.Status, now.Pid)
				}
				if name == "create" {
					execute(s, "[ -e /inside-the-container ]")
					s.Davit("start", s.ID).Succeeds()
				}
				execute(s, "[ -e /inside-the-container ]")
				s.Delete()
			})
		}
	}
}

// Whoever deletes by force doesn't wait for a hook, and the maker says what has become of its container.
func TestCreatingDeleted(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds[:3] {
		for name, line := range makers {
			t.Run(kind+" of "+name, func(t *testing.T) {
				t.Parallel()
				s, c, _ := blocked(t, kind, line)
				begin := time.Now()
				s.Delete()
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("that took %s", took)
				}
				c.End().Fails("killed ", "by SIGKILL") // the process, and with it what is in its PID namespace
				s.Davit("state", s.ID).Fails("container does not exist")
			})
		}
	}
}

// A maker that was killed left nothing that is being created any more.
func TestCreatingAbandoned(t *testing.T) {
	t.Parallel()
	for _, force := range []string{"--force", "--force=false"} {
		for name, line := range makers {
			t.Run(name+", "+force, func(t *testing.T) {
				t.Parallel()
				s, c, release := blocked(t, "createRuntime", line)
				if err := unix.Kill(c.Process.Pid, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				c.End()
				if st := s.State(); st.Status != specs.StateStopped || st.Pid != 0 {
					t.Errorf("the state is %s, pid %d", st.Status, st.Pid)
				}
				s.Davit("exec", s.ID, "/bin/true").FailsWith(255, "cannot exec in a stopped container")
				s.Davit("start", s.ID).Fails("cannot start a container that has stopped")
				s.Davit("update", "--pids-limit", "7", s.ID).Fails("container not running")
				s.Davit("pause", s.ID).Fails("container not running")
				s.Davit("kill", s.ID, "KILL").Fails("container not running")
				s.Davit("kill", "--all", s.ID, "KILL").Succeeds() // as after any end
				s.Davit("delete", force, s.ID).Succeeds()
				s.Davit("state", s.ID).Fails("container does not exist")
				release()
			})
		}
	}
}

// Hooks ask davit itself: those before the start are told what is, and those after it may do what they like.
func TestHooksCallDavit(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"create, start", "run"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "1000"))
			s.WriteFile("/inside-the-container", "", 0o644)
			log := filepath.Join(s.Dir, "said")
			davit := harness.Binary(t) + " --root " + s.Root + " "
			status := "echo $KIND $(" + davit + "state " + s.ID + " | grep '\"status\"') >>" + log + "; "
			refused := davit + "exec " + s.ID + " /bin/true >>" + log + " 2>&1 && exit 1; " + davit + "pause " + s.ID + " && exit 2; exit 0"
			for _, kind := range kinds[:3] {
				add(s, kind, script(s, kind, status+refused))
			}
			add(s, "poststart", script(s, "poststart", "set -e; "+status+davit+"exec "+s.ID+" /bin/sh -c '[ -e /inside-the-container ]'; "+
				davit+"pause "+s.ID+"; "+davit+"resume "+s.ID+"; echo done >>"+log))
			if name == "run" {
				s.WriteConfig()
				s.Davit(runLine(s)...).Succeeds()
			} else {
				start(s)
			}
			data, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range kinds[:3] {
				if !strings.Contains(string(data), kind+` "status": "creating",`) {
					t.Errorf("%s: the log is\n%s", kind, data)
				}
			}
			if strings.Count(string(data), beingCreated) != 3 || !strings.Contains(string(data), `poststart "status": "running",`) || !strings.HasSuffix(string(data), "done\n") {
				t.Errorf("the log is\n%s", data)
			}
			s.Delete()
		})
	}
}

// While startContainer hooks run the container is created, for whoever asks.
func TestStateAtStartContainer(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]func(*harness.Sandbox) []string{"start": func(s *harness.Sandbox) []string { return []string{"start", s.ID} }, "run": runLine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "1000"))
			add(s, "startContainer", script(s, "startContainer", "echo >/reached; while [ ! -e /released ]; do sleep 0.01; done"))
			s.WriteConfig()
			if name == "start" {
				s.Create().Succeeds()
			}
			c := s.Command(line(s)...)
			c.Begin()
			harness.Eventually(t, "the hook", func() bool { _, err := os.Stat(s.Path("reached")); return err == nil })
			if st := s.State().Status; st != specs.StateCreated {
				t.Errorf("the status is %s", st)
			}
			execute(s, "echo >/released")
			c.End().Succeeds()
			if st := s.State().Status; st != specs.StateRunning {
				t.Errorf("afterwards the status is %s", st)
			}
			s.Delete()
		})
	}
}

// Without any hook: the process takes its time before it leaves the host's root, or before it is confined.
func TestCreatingSlowly(t *testing.T) {
	t.Parallel()
	strace := harness.NeedTool(t, "strace", "strace")
	for _, call := range []string{"pivot_root", "capset"} {
		for name, line := range makers {
			t.Run(call+" of "+name, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t, harness.Args("/bin/sleep", "1000"))
				s.WriteFile("/inside-the-container", "", 0o644)
				s.WriteConfig()
				s.Prefix = []string{strace, "-f", "-qq", "-o", "/dev/null", "--signal=none", "-e", "trace=" + call, "-e", "inject=" + call + ":delay_enter=1000000:when=1"}
				c := s.Command(line(s)...)
				s.Prefix = nil
				c.Begin()
				harness.Eventually(t, "the container", func() bool { return s.Davit("state", s.ID).Code == 0 })
				if st := s.State().Status; st != specs.StateCreating {
					t.Errorf("the status is %s", st)
				}
				s.Davit(execLine(s, "echo joined")...).FailsWith(255, beingCreated)
				s.Davit("start", s.ID).Fails(beingCreated)
				s.WaitStatus(map[string]specs.ContainerState{"create": specs.StateCreated, "run": specs.StateRunning}[name])
				execute(s, "[ -e /inside-the-container ]")
				s.Delete()
				c.End()
			})
		}
	}
}

// Whoever joins a container at whatever moment finds himself in it, or is refused.
func TestExecRacesWithCreate(t *testing.T) {
	t.Parallel()
	for name, line := range makers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "1000"))
			s.WriteFile("/inside-the-container", "", 0o644)
			s.Spec.Process.Capabilities = nil
			s.Spec.Linux.MaskedPaths = []string{"/proc/version"}
			s.WriteConfig()
			rounds := 150
			if testing.Short() {
				rounds = 30
			}
			seen := map[string]int{}
			for range rounds {
				made := make(chan *harness.Result)
				go func() { made <- s.Davit(line(s)...) }()
				for ended := false; !ended; {
					select {
					case r := <-made:
						r.Succeeds()
						ended = true
					default:
					}
					r := s.Davit(execLine(s, "[ -e /inside-the-container ] || echo host; [ -s /proc/version ] && echo unmasked; "+
						"grep -q '^CapEff:[^1-9a-f]*$' /proc/self/status || echo privileged; exit 0")...)
					seen[joined(t, r)]++
				}
				s.Delete()
			}
			t.Logf("%v", seen)
			if seen["joined"] < rounds || seen["refused"] == 0 {
				t.Errorf("it was never seen in the making: %v", seen)
			}
		})
	}
}

// joined sorts what became of an exec.
func joined(t *testing.T, r *harness.Result) string {
	t.Helper()
	switch text := r.Stderr(); {
	case r.Code == 0 && r.Stdout() == "":
		return "joined"
	case r.Code == 255 && strings.Contains(text, beingCreated):
		return "refused"
	case r.Code == 255 && strings.Contains(text, "container does not exist"):
		return "nothing yet"
	default:
		t.Errorf("exec: exit code %d: %s%s", r.Code, r.Stdout(), text)
		return fmt.Sprint(r.Code)
	}
}
