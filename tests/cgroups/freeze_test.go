package cgroups

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// counter is a script that appends to /count as fast as it can.
var counter = harness.Shell("while :; do echo >> /count; done")

func counted(s *harness.Sandbox) int64 {
	st, err := os.Stat(s.Path("count"))
	if err != nil {
		return 0
	}
	return st.Size()
}

func counting(s *harness.Sandbox) {
	s.T.Helper()
	from := counted(s)
	harness.Eventually(s.T, "the container to count", func() bool { return counted(s) > from })
}

// A pause stops every process, in cgroups below, too; resume lets them go on.
func TestPauseStopsEverything(t *testing.T) {
	t.Parallel()
	s := harness.New(t, counter)
	begin(s)
	counting(s)
	s.Davit("pause", s.ID).Succeeds()
	if st := s.State().Status; st != "paused" {
		t.Errorf("status %s", st)
	}
	before := counted(s)
	time.Sleep(150 * time.Millisecond)
	if now := counted(s); now != before {
		t.Errorf("a paused container counted from %d to %d", before, now)
	}
	s.Davit("pause", s.ID).Fails("container paused")
	s.Davit("exec", s.ID, "true").FailsWith(255, "cannot exec in a paused container (use --ignore-paused to override)")
	s.Davit("resume", s.ID).Succeeds()
	counting(s)
	s.Davit("resume", s.ID).Fails("container not paused")
	s.Delete()
}

// A paused container can be ended in each of the ways there are.
func TestPausedCanBeEnded(t *testing.T) {
	t.Parallel()
	for _, how := range [][]string{{"kill", "ID", "KILL"}, {"kill", "--all", "ID", "KILL"}, {"delete", "--force", "ID"}} {
		for _, private := range []bool{true, false} {
			s := harness.New(t, harness.Shell("sleep 100 & sleep 100 & wait"))
			if !private {
				s.Edit(harness.WithoutNamespace(specs.PIDNamespace))
			}
			begin(s)
			s.Davit("pause", s.ID).Succeeds()
			line := append([]string{}, how...)
			line[len(line)-1] = strings.Replace(line[len(line)-1], "ID", s.ID, 1)
			if how[0] == "kill" {
				line[len(line)-2] = s.ID
			}
			start := time.Now()
			s.Davit(line...).Succeeds()
			if how[0] == "kill" {
				s.WaitStatus(specs.StateStopped)
				s.Davit("delete", s.ID).Succeeds()
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%v took %v", how, took)
			}
			s.CheckHost()
		}
	}
}

// Whatever races with a pause, even the death of the davit that pauses: in the end the
// container runs, is paused, or is gone; it can be resumed, ended and deleted.
func TestPauseRaces(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	s := harness.New(t, harness.Shell("f() { sleep 0.01; f & }; f; while :; do (true); done"))
	for round := range rounds {
		begin(s)
		dies := round%3 == 2 // davit is killed in the midst of the pause
		var all sync.WaitGroup
		for _, line := range [][]string{{"pause", s.ID}, {"resume", s.ID}, {"pause", s.ID}, {"kill", s.ID, "KILL"}} {
			c := s.Command(line...)
			c.Begin()
			if dies && line[0] == "pause" {
				time.Sleep(time.Duration(round) * 300 * time.Microsecond)
				_ = c.Process.Kill()
			}
			all.Go(func() { c.End() })
		}
		all.Wait()
		if dies && s.State().Status == "paused" {
			// What was killed while it was frozen may be dead by now.
			if r := s.Davit("resume", s.ID); s.State().Status == "paused" {
				r.Succeeds()
			}
		}
		s.WaitStatus(specs.StateStopped) // the KILL isn't lost, whoever came first
		s.Davit("delete", s.ID).Succeeds()
	}
	s = harness.New(t, counter)
	for round := range rounds {
		begin(s)
		c := s.Command("pause", s.ID)
		c.Begin()
		time.Sleep(time.Duration(round) * 500 * time.Microsecond)
		_ = c.Process.Kill()
		c.End()
		if st := s.State().Status; st == "paused" {
			s.Davit("resume", s.ID).Succeeds()
		}
		counting(s)
		s.Delete()
	}
}

// kill --all reaches processes that fork, are in cgroups below, or outlive their init.
func TestKillAll(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.Shell("f() { (f) & exit; }; for i in 1 2 3 4 5 6; do (f) & done; sleep 100 & sleep 100"))
	begin(s)
	time.Sleep(50 * time.Millisecond)
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	harness.Eventually(t, "all processes to end", func() bool {
		for _, dir := range directories(s) {
			if readFile(t, dir+"/cgroup.procs") != "" {
				return false
			}
		}
		return true
	})
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds() // engines do it after the end as well
	s.Davit("delete", s.ID).Succeeds()
}

// In the unified hierarchy one write ends them all, frozen or not, wherever below.
func TestKillAllReachesChildren(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("sleep 100 & sleep 100 & wait"))
	begin(s)
	dirs := directories(s)
	pids := strings.Fields(readFile(t, dirs[len(dirs)-1]+"/cgroup.procs"))
	for _, dir := range dirs {
		if filepath.Base(filepath.Dir(dir)) == "cpuset" {
			continue // takes processes only with CPUs of its own
		}
		sub := dir + "/a/b"
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, sub+"/cgroup.procs", pids[len(pids)-1])
	}
	s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
}

// A payload that freezes a part of itself is ended all the same.
func TestPayloadsOwnFreezeIsNoShield(t *testing.T) {
	t.Parallel()
	for _, line := range [][]string{{"kill", "ID", "KILL"}, {"kill", "--all", "ID", "KILL"}, {"delete", "--force", "ID"}} {
		s := harness.New(t, harness.Shell(`for d in /sys/fs/cgroup/freezer /sys/fs/cgroup/unified /sys/fs/cgroup; do
			[ -e $d/cgroup.procs ] || continue
			sleep 1000 & mkdir $d/ice && echo $! > $d/ice/cgroup.procs
			if [ -e $d/ice/freezer.state ]; then echo FROZEN > $d/ice/freezer.state; else echo 1 > $d/ice/cgroup.freeze; fi && echo frozen
		done; sleep 1000`))
		for i := range s.Spec.Mounts {
			if m := &s.Spec.Mounts[i]; m.Destination == mountpoint {
				m.Options = []string{"nosuid", "noexec", "nodev", "rw"}
			}
		}
		s.WriteConfig()
		run := s.Command("run", "--bundle", s.Bundle, s.ID)
		run.Begin()
		run.Written("frozen\n")
		time.Sleep(20 * time.Millisecond)
		for i := range line {
			if line[i] == "ID" {
				line[i] = s.ID
			}
		}
		s.Davit(line...).Succeeds()
		if r := run.End(); r.Code != 128+int(unix.SIGKILL) {
			t.Errorf("%v: exit code %d\n%s", line, r.Code, r.Stderr())
		}
		s.CheckHost()
	}
}

// A container in the foreground that is paused and deleted by force lets its davit end.
func TestPausedForegroundEnds(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo up; sleep 100"))
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Cmd.Stdout = nil
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run.Begin()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("%q, %v", line, err)
	}
	s.Davit("pause", s.ID).Succeeds()
	s.Delete()
	_, _ = io.Copy(io.Discard, out)
	if r := run.End(); r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("exit code %d", r.Code)
	}
}
