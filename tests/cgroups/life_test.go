package cgroups

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// In every hierarchy that is mounted the container has a cgroup, hybrid hosts included,
// and its process is in each.
func TestEveryHierarchyIsJoined(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	begin(s)
	table := readFile(t, fmt.Sprintf("/proc/%d/cgroup", s.PID()))
	for line := range strings.Lines(table) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		mounted := f[1] == "" && unified() != "/nonexistent" || f[1] != "" && onV1(strings.TrimPrefix(f[1], "name="))
		if mounted && f[2] != "/"+s.ID {
			t.Errorf("the container's process isn't in its cgroup of %q: %s", f[1], f[2])
		}
	}
	if onV1("memory") && onV2("hugetlb") { // crun refuses such a host
		s.Command("update", "-r", "-", s.ID).In(`{"memory":{"limit":67108864},"hugepageLimits":[{"pageSize":"2MB","limit":0}]}`).Do().Succeeds()
		if a, b := readFile(t, directory(s, "memory.limit_in_bytes")+"/memory.limit_in_bytes"), readFile(t, directory(s, "hugetlb.2MB.max")+"/hugetlb.2MB.max"); a != "67108864" || b != "0" {
			t.Errorf("limits in both versions at once: %s, %s", a, b)
		}
	}
	s.Delete()
}

// A cgroup with processes, and a frozen one, is refused with the words that engines know; it stays as it was.
func TestCreateWantsAnUnusedCgroup(t *testing.T) {
	t.Parallel()
	first := harness.New(t, harness.Args("/bin/sleep", "100"))
	begin(first)
	second := harness.New(t)
	second.Spec.Linux.CgroupsPath = "/" + first.ID
	second.Run().Fails("container's cgroup is not empty: 1 process(es) found")
	if st := first.State().Status; st != specs.StateRunning {
		t.Errorf("the first container is %s", st)
	}
	first.Davit("pause", first.ID).Succeeds()
	second.Spec.Linux.CgroupsPath = "/" + first.ID + "/below"
	done := make(chan *harness.Result, 1)
	go func() { done <- second.Run() }()
	select {
	case r := <-done:
		r.Fails("container's cgroup unexpectedly frozen")
	case <-time.After(10 * time.Second):
		t.Fatal("create hangs below a frozen cgroup")
	}
	for _, dir := range directories(first) {
		if _, err := os.Stat(dir + "/below"); err == nil {
			t.Errorf("%s/below was left", dir)
		}
	}
	first.Delete()
}

// An empty cgroup that an engine has made is taken, and removed with the container.
func TestCreateTakesAnEmptyCgroup(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for _, root := range hierarchies() {
		if err := os.MkdirAll(root+"/"+s.ID+"/old/older", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.Run().Succeeds()
}

// A container that can't be made leaves nothing, at whatever point the kernel says no.
func TestFailedCreateLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, res := range []string{
		`{"cpu":{"cpus":"4095"}}`,
		`{"pids":{"limit":10},"hugepageLimits":[{"pageSize":"3MB","limit":0}]}`,
		`{"memory":{"limit":33554432},"blockIO":{"throttleReadBpsDevice":[{"major":4000,"minor":1,"rate":1}]}}`,
		`{"devices":[{"allow":false,"access":"rwm"}],"unified":{"nothing.max":"1"}}`,
	} {
		for _, path := range []string{"/ID", "ID/a/b", ""} {
			s := harness.New(t, resources(t, res))
			s.Spec.Linux.CgroupsPath = strings.Replace(path, "ID", s.ID, 1)
			s.Run().Fails("linux.resources.")
			s.CheckHost()
		}
	}
}

// What the payload has made below goes with the container, however deep and wide.
func TestDeleteRemovesTheTree(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	begin(s)
	for _, dir := range directories(s) {
		for i := range 20 {
			if err := os.MkdirAll(fmt.Sprintf("%s/wide-%d/deep/deeper", dir, i), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	start := time.Now()
	s.Davit("delete", s.ID).Succeeds()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("removing %d trees took %v", len(directories(s)), took)
	}
}

// A payload that makes cgroups through its own writable mount is delegated to and cleaned up after.
func TestDeleteAfterPayloadsOwnCgroups(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("d=$(dirname $(find /sys/fs/cgroup -name cgroup.procs -maxdepth 2 | head -1)); mkdir -p $d/mine/own && echo $$ > $d/mine/own/cgroup.procs && echo made; sleep 100"))
	for i := range s.Spec.Mounts {
		if m := &s.Spec.Mounts[i]; m.Destination == mountpoint {
			m.Options = []string{"nosuid", "noexec", "nodev", "rw"}
		}
	}
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Begin()
	run.Written("made\n")
	r := s.Davit("exec", s.ID, "cat", "/proc/self/cgroup")
	r.Succeeds()
	s.Davit("kill", s.ID, "KILL").Succeeds()
	run.End()
	s.CheckHost()
}

// Who holds a cgroup is named; when he has gone the delete succeeds.
func TestDeleteNamesWhoHoldsIt(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	begin(s)
	stranger := exec.Command("sleep", "100")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	file := directory(s, "cgroup.procs") + "/cgroup.procs"
	for _, dir := range directories(s) {
		if filepath.Base(filepath.Dir(dir)) == "freezer" {
			file = dir + "/cgroup.procs"
		}
	}
	writeFile(t, file, fmt.Sprint(stranger.Process.Pid))
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	start := time.Now()
	s.Davit("delete", s.ID).Fails(fmt.Sprintf("held by process(es) %d; kill them and try again", stranger.Process.Pid))
	if took := time.Since(start); took < time.Second || took > 8*time.Second {
		t.Errorf("gave up after %v", took)
	}
	if err := stranger.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = stranger.Wait()
	s.Davit("delete", s.ID).Succeeds()
}
