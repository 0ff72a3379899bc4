package process

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

func TestKillNames(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("for n in 1 2 3 10 12 15 28 34 40 64; do trap \"echo got $n\" $n; done; echo ready; while :; do sleep 0.01; done"))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.Begin()
	c.Written("ready\n")
	want := "ready\n"
	for _, k := range []struct {
		arg    string
		number int
	}{
		{"HUP", 1}, {"sighup", 1}, {"SIGINT", 2}, {"3", 3}, {"USR1", 10}, {"usr2", 12}, {"15", 15}, {"SIGWINCH", 28}, {"SIGRTMIN", 34}, {"rtmin+6", 40}, {"RTMAX", 64}, {"SIGRTMAX-24", 40}, {"040", 40},
	} {
		s.Davit("kill", s.ID, k.arg).Succeeds()
		want += fmt.Sprintf("got %d\n", k.number)
		harness.Eventually(t, fmt.Sprintf("%q after kill %s; it is %q", want, k.arg, out(c)), func() bool { return out(c) == want })
	}
	s.Davit("kill", s.ID).Succeeds()
	c.Written(want + "got 15\n")
	// Signal 0 is the question whether there is a process.
	s.Davit("kill", s.ID, "0").Succeeds()
	for _, bad := range []string{"", "65", "-9", "1.5", "SIG", "SIGNOTHING", "RTMAX+1", "RTMIN-1", "9x"} {
		s.Davit("kill", "--", s.ID, bad).Fails("unknown signal", "signal")
	}
	s.Davit("kill", s.ID, "KILL").Succeeds()
	if r := c.End(); r.Code != 137 {
		t.Errorf("exit code %d", r.Code)
	}
}

func TestKillStopped(t *testing.T) {
	t.Parallel()
	s := running(t)
	s.Davit("kill", s.ID, "9").Succeeds()
	s.WaitStatus(specs.StateStopped)
	for _, sig := range []string{"0", "KILL", "TERM", "9"} {
		s.Davit("kill", s.ID, sig).Fails("container not running")
		s.Davit("kill", "--all", s.ID, sig).Succeeds() // as engines expect
	}
}

// --all reaches each process, wherever it has gone.
func TestKillAll(t *testing.T) {
	t.Parallel()
	for name, edits := range map[string][]harness.Edit{"usual": nil, "host's PID namespace": {harness.WithoutNamespace(specs.PIDNamespace)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const child = `trap 'echo got it >>/log; exit' USR1; echo ready >>/log; while :; do sleep 0.01; done`
			s := harness.New(t, append(edits, harness.Shell(fmt.Sprintf("sh -c %[1]q & setsid sh -c %[1]q & %[2]s", child, strings.Replace(child, "; exit", "", 1))))...)
			s.WriteFile("/log", "", 0o666)
			start(s)
			s.Davit("exec", "-d", s.ID, "/bin/sh", "-c", child).Succeeds()
			harness.Eventually(t, "four processes", func() bool { return strings.Count(logOf(t, s), "ready") == 4 })
			s.Davit("kill", "--all", s.ID, "USR1").Succeeds()
			harness.Eventually(t, "the signal to come to all four", func() bool { return strings.Count(logOf(t, s), "got it") == 4 })
			s.Davit("kill", "-a", s.ID, "KILL").Succeeds()
			s.WaitStatus(specs.StateStopped)
			s.Davit("delete", s.ID).Succeeds()
		})
	}
}

// Without a PID namespace the others would survive the first process: SIGKILL is for them all, other signals aren't.
func TestKillWithoutPIDNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.Shell("sleep 1000 & setsid sleep 1000 & echo ready; exec sleep 1000"))
	created := s.Create()
	created.Succeeds()
	s.Davit("start", s.ID).Succeeds()
	s.Davit("exec", "-d", s.ID, "/bin/sleep", "1000").Succeeds()
	count := func() int {
		r := s.Davit("ps", "-f", "json", s.ID)
		r.Succeeds()
		var pids []int
		if err := json.Unmarshal([]byte(r.Stdout()), &pids); err != nil {
			t.Fatal(err)
		}
		return len(pids)
	}
	harness.Eventually(t, "four processes", func() bool { return created.Stdout() == "ready\n" && count() == 4 })
	s.Davit("kill", s.ID, "HUP").Succeeds()
	s.WaitStatus(specs.StateStopped)
	if n := count(); n != 3 {
		t.Errorf("after SIGHUP to the first there are %d processes, want 3", n)
	}
	s.Davit("kill", s.ID, "KILL").Fails("container not running")
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	harness.Eventually(t, "the end of the others", func() bool { return count() == 0 })
	s.Davit("delete", s.ID).Succeeds()

	start(s)
	s.Davit("exec", "-d", s.ID, "/bin/sleep", "1000").Succeeds()
	harness.Eventually(t, "four processes", func() bool { return count() == 4 })
	s.Davit("kill", s.ID, "KILL").Succeeds()
	harness.Eventually(t, "the end of all", func() bool { return count() == 0 })
	s.Davit("delete", s.ID).Succeeds()
}

// In the foreground davit leaves nobody behind either.
func TestRunWithoutPIDNamespace(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--no-subreaper"}, {"--keep"}} {
		s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.Shell("sleep 1000 & setsid sleep 1000 & (setsid sleep 0.05 &); sleep 0.2; exit 3"))
		s.WriteConfig()
		begin := time.Now()
		if r := s.Davit(append(append([]string{"run"}, flags...), "--bundle", s.Bundle, s.ID)...); r.Code != 3 {
			t.Errorf("%v: exit code %d: %s", flags, r.Code, r.Stderr())
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%v: it took %s", flags, took)
		}
		if len(flags) > 0 && flags[0] == "--keep" {
			s.Davit("delete", s.ID).Succeeds()
		}
		s.CheckHost()
	}
}
