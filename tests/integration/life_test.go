package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// From create to delete, by the words and exit codes that engines rely on.
func TestLifeCycle(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo started >/started; exec sleep 100"))
	s.Spec.Annotations = map[string]string{"org.example.key": "value"}
	s.Davit("state", s.ID).Fails("container does not exist")
	pidFile := filepath.Join(s.Dir, "pid")
	before := time.Now()
	s.Create("--pid-file", pidFile).Succeeds()

	st := s.State()
	if st.Status != specs.StateCreated || st.ID != s.ID || st.Bundle != s.Bundle || st.Rootfs != s.Rootfs || st.Version != s.Spec.Version ||
		st.Annotations["org.example.key"] != "value" || st.Created.Before(before.Add(-time.Second)) || st.Created.After(time.Now()) {
		t.Errorf("the state of a created container is %+v", st)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil || string(pid) != fmt.Sprint(st.Pid) {
		t.Errorf("the pid file has %q (%v), the state %d", pid, err, st.Pid)
	}
	var fifo unix.Stat_t
	if err := unix.Stat(filepath.Join(s.Root, s.ID, "exec.fifo"), &fifo); err != nil || fifo.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("exec.fifo of a created container: %v, mode %o", err, fifo.Mode)
	}
	if _, err := os.Stat(s.Path("started")); err == nil {
		t.Error("the process was executed by create")
	}
	s.Create().Fails("container with given ID already exists")

	s.Davit("start", s.ID).Succeeds()
	s.WaitStatus(specs.StateRunning)
	harness.Eventually(t, "the process to run", func() bool { _, err := os.Stat(s.Path("started")); return err == nil })
	if now := s.State().Pid; now != st.Pid {
		t.Errorf("start changed the pid from %d to %d", st.Pid, now)
	}
	s.Davit("start", s.ID).Fails("cannot start an already running container")
	s.Create().Fails("container with given ID already exists")
	s.Davit("delete", s.ID).Fails("cannot delete container " + s.ID + " that is not stopped: running")

	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	if pid := s.State().Pid; pid != 0 {
		t.Errorf("a stopped container has the pid %d", pid)
	}
	s.Davit("start", s.ID).Fails("cannot start a container that has stopped")
	s.Davit("kill", s.ID, "KILL").Fails("container not running")
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	s.Davit("delete", s.ID).Succeeds()
	s.Davit("delete", s.ID).Fails("container does not exist")
	s.Davit("delete", "--force", s.ID).Succeeds()
	s.Davit("kill", s.ID, "KILL").Fails("container does not exist")
	s.Davit("start", s.ID).Fails("container does not exist")
	// The id is free again.
	s.Create().Succeeds()
	s.Davit("delete", s.ID).Succeeds()
}

func TestStateAndListFormat(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	if r := s.Davit("list", "--format", "json"); r.Code != 0 || strings.TrimSpace(r.Stdout()) != "null" {
		t.Errorf("without containers list prints %q", r.Stdout())
	}
	s.Create().Succeeds()
	r := s.Davit("state", s.ID)
	if text := r.Stdout(); !strings.HasPrefix(text, "{\n  \"ociVersion\": \"1.3.0\",\n  \"id\": ") || strings.HasSuffix(text, "\n") {
		t.Errorf("state prints %q", text)
	}
	var all []harness.State
	if err := json.Unmarshal([]byte(s.Davit("list", "-f", "json").Stdout()), &all); err != nil || len(all) != 1 {
		t.Fatalf("list -f json: %v %v", err, all)
	}
	if all[0].ID != s.ID || all[0].Status != specs.StateCreated || all[0].Owner != "root" {
		t.Errorf("list has %+v", all[0])
	}
	if got := s.Davit("list", "-q").Stdout(); got != s.ID+"\n" {
		t.Errorf("list -q prints %q", got)
	}
	lines := strings.Split(s.Davit("list").Stdout(), "\n")
	if got := strings.Join(strings.Fields(lines[0]), " "); got != "ID PID STATUS BUNDLE CREATED OWNER" {
		t.Errorf("the table begins with %q", got)
	}
	if f := strings.Fields(lines[1]); f[0] != s.ID || f[2] != "created" || f[3] != s.Bundle {
		t.Errorf("the table has %q", lines[1])
	}
	s.Delete()
}

// runtime.md: create must not be affected by later changes of config.json (L4).
func TestConfigIsFixedByCreate(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/echo", "as created"))
	s.Edit(harness.Hooks(func(h *specs.Hooks) {
		h.Poststop = []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo old >" + s.Dir + "/poststop"}}}
	}))
	created := s.Create()
	created.Succeeds()
	s.Edit(harness.Args("/bin/echo", "as edited"), harness.Hooks(func(h *specs.Hooks) { h.Poststop = nil }))
	s.Spec.Hostname = "edited"
	s.WriteConfig()
	s.Davit("start", s.ID).Succeeds()
	s.WaitStatus(specs.StateStopped)
	if got := created.Stdout(); got != "as created\n" {
		t.Errorf("the process wrote %q", got)
	}
	if err := os.Remove(filepath.Join(s.Bundle, "config.json")); err != nil {
		t.Fatal(err)
	}
	s.Davit("delete", s.ID).Succeeds()
	if text, err := os.ReadFile(filepath.Join(s.Dir, "poststop")); err != nil || string(text) != "old\n" {
		t.Errorf("poststop wrote %q, %v", text, err)
	}
}

func TestDeleteForce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, s *harness.Sandbox)
	}{
		{"absent", func(*testing.T, *harness.Sandbox) {}},
		{"created", func(_ *testing.T, s *harness.Sandbox) { s.Create().Succeeds() }},
		{"running", func(_ *testing.T, s *harness.Sandbox) { start(s) }},
		{"stopped", func(_ *testing.T, s *harness.Sandbox) {
			start(s)
			s.Davit("kill", s.ID, "KILL").Succeeds()
			s.WaitStatus(specs.StateStopped)
		}},
		{"frozen by hand", func(t *testing.T, s *harness.Sandbox) {
			start(s)
			freeze(t, s)
			if st := s.State().Status; st != "paused" {
				t.Errorf("the status of a frozen container is %s", st)
			}
			s.Davit("delete", s.ID).Fails("is not stopped: paused")
		}},
		{"ignores signals", func(_ *testing.T, s *harness.Sandbox) {
			s.Edit(harness.Shell("trap '' TERM INT HUP; while :; do sleep 1; done"))
			start(s)
			s.Davit("kill", s.ID).Succeeds()
		}},
		{"rootfs and bundle are gone", func(t *testing.T, s *harness.Sandbox) {
			start(s)
			if err := os.RemoveAll(s.Bundle); err != nil {
				t.Fatal(err)
			}
		}},
		{"state torn", func(t *testing.T, s *harness.Sandbox) {
			s.Create().Succeeds()
			if err := os.Truncate(filepath.Join(s.Root, s.ID, "state.json"), 10); err != nil {
				t.Fatal(err)
			}
			s.Davit("state", s.ID).Fails(s.ID)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "100"))
			c.prepare(t, s)
			s.Davit("delete", "--force", s.ID).Succeeds()
			s.Davit("state", s.ID).Fails("container does not exist")
		})
	}
}

// start creates and starts the sandbox's container.
func start(s *harness.Sandbox) {
	s.T.Helper()
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
}

// freeze stops the container's cgroup by its own file.
func freeze(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	for _, f := range []struct{ file, value string }{
		{"/sys/fs/cgroup/freezer/" + s.ID + "/freezer.state", "FROZEN"},
		{"/sys/fs/cgroup/" + s.ID + "/cgroup.freeze", "1"},
		{"/sys/fs/cgroup/unified/" + s.ID + "/cgroup.freeze", "1"},
	} {
		if os.WriteFile(f.file, []byte(f.value), 0) == nil {
			time.Sleep(20 * time.Millisecond)
			return
		}
	}
	t.Fatal("no freezer of the container was found")
}

// A container in the host's PID namespace ends as a whole, too.
func TestSharedPIDNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.Shell("sleep 100 & setsid sleep 100 & sleep 0.1; echo over"))
	if out := s.Output(); out != "over\n" {
		t.Errorf("got %q", out)
	}
	s.CheckHost() // the two that were left behind
	s.Edit(harness.Shell("sleep 100 & setsid sleep 100 & exec sleep 100"))
	start(s)
	time.Sleep(50 * time.Millisecond)
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
}

func TestKillSignals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "TERM"}, {[]string{"HUP"}, "HUP"}, {[]string{"SIGUSR1"}, "USR1"}, {[]string{"usr2"}, "USR2"}, {[]string{"2"}, "INT"}, {[]string{"SIGRTMIN+1"}, "RTMIN+1"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Shell("for s in TERM HUP USR1 USR2 INT RTMIN+1; do trap \"echo got $s; exit 3\" $s; done; echo ready; while :; do sleep 0.01; done"))
			if c.want == "RTMIN+1" {
				s.Edit(harness.Shell("trap 'echo got RTMIN+1; exit 3' 35; echo ready; while :; do sleep 0.01; done"))
			}
			s.WriteConfig()
			run := s.Command("run", "--bundle", s.Bundle, s.ID)
			run.Begin()
			run.Written("ready")
			s.Davit(append([]string{"kill", s.ID}, c.args...)...).Succeeds()
			r := run.End()
			if r.Code != 3 || r.Stdout() != "ready\ngot "+c.want+"\n" {
				t.Errorf("exit code %d, output %q", r.Code, r.Stdout())
			}
		})
	}
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.Create().Succeeds()
	s.Davit("kill", s.ID, "NOSUCH").Fails("unknown signal")
	s.Davit("kill", s.ID, "KILL").Succeeds() // created is killed as well as running
	s.WaitStatus(specs.StateStopped)
	s.Delete()
}

// A container without process can be created, not started (P1).
func TestNoProcess(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Process = nil
	s.Create().Succeeds()
	if st := s.State().Status; st != specs.StateCreated {
		t.Errorf("the status is %s", st)
	}
	s.Davit("start", s.ID).Fails("process")
	s.Delete()
	s.Run().Fails("process")
}

// Many commands about one id at once: exactly one create wins, and all is gone in the end.
func TestConcurrentCommands(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.WriteConfig()
	const n = 8
	codes := make(chan int, n)
	for range n {
		c := s.Command("create", "--bundle", s.Bundle, s.ID)
		c.Begin()
		go func() { codes <- c.End().Code }()
	}
	won := 0
	for range n {
		if <-codes == 0 {
			won++
		}
	}
	if won != 1 {
		t.Fatalf("%d of %d creates succeeded", won, n)
	}
	for range n {
		c := s.Command("start", s.ID)
		c.Begin()
		go func() { codes <- c.End().Code }()
	}
	won = 0
	for range n {
		if <-codes == 0 {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of %d starts succeeded", won, n)
	}
	for range n {
		c := s.Command("delete", "--force", s.ID)
		c.Begin()
		go func() { codes <- c.End().Code }()
	}
	for range n {
		if code := <-codes; code != 0 {
			t.Errorf("a forced delete ended with %d", code)
		}
	}
}
