package vm

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Everything that a privileged container gets, engines ask for by name.
func TestPrivilegeAllCapabilities(t *testing.T) {
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, full, _ := strings.Cut(string(own), "CapBnd:\t")
	full, _, _ = strings.Cut(full, "\n")
	s := harness.New(t, harness.AllCapabilities())
	out := s.Sh("grep ^Cap /proc/self/status")
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
		if !strings.Contains(out, set+":\t"+full+"\n") {
			t.Errorf("%s isn't %s:\n%s", set, full, out)
		}
	}
	if !strings.Contains(out, "CapInh:\t0000000000000000\n") || !strings.Contains(out, "CapAmb:\t0000000000000000\n") {
		t.Errorf("inheritable or ambient capabilities that nobody asked for:\n%s", out)
	}
}

func TestPrivilegeLowerOOMScore(t *testing.T) {
	s := harness.New(t, func(s *specs.Spec) { s.Process.OOMScoreAdj = harness.Pointer(-900) })
	if out := s.Sh("cat /proc/self/oom_score_adj"); out != "-900\n" {
		t.Errorf("oom_score_adj: %q", out)
	}
	ns := harness.New(t, harness.UserNamespace(100000, 65536), func(s *specs.Spec) { s.Process.OOMScoreAdj = harness.Pointer(-500) })
	if out := ns.Sh("cat /proc/self/oom_score_adj"); out != "-500\n" {
		t.Errorf("oom_score_adj in a user namespace: %q", out)
	}
}

func TestPrivilegeRaiseLimits(t *testing.T) {
	higher := func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1048577, Hard: 1048577}, {Type: "RLIMIT_CORE", Soft: 1 << 40, Hard: 1 << 40}}
	}
	for name, edit := range map[string]harness.Edit{"root": func(*specs.Spec) {}, "user namespace": harness.UserNamespace(100000, 65536)} {
		t.Run(name, func(t *testing.T) {
			// From limits below what the configuration asks for.
			s := harness.New(t, edit, higher)
			s.Prefix = []string{"prlimit", "--nofile=1024:4096", "--core=0:0"}
			if out := s.Sh("ulimit -Hn; grep 'Max core' /proc/self/limits"); !strings.HasPrefix(out, "1048577\n") || strings.Count(out, "1099511627776") != 2 {
				t.Errorf("limits inside: %q", out)
			}
		})
	}
	s := running(t, higher)
	s.Prefix = []string{"prlimit", "--nofile=1024:4096"}
	if out := execute(s, "ulimit -Hn"); out != "1048577\n" {
		t.Errorf("the limit of a process that joined: %q", out)
	}
}

// Real-time scheduling and locked memory are limited by RLIMIT_RTPRIO and RLIMIT_MEMLOCK for others.
func TestPrivilegeScheduling(t *testing.T) {
	s := harness.New(t, func(s *specs.Spec) {
		s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 7}
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 1}
	})
	// proc_pid_stat(5): rt_priority and policy are fields 40 and 41.
	if out := s.Sh("cut -d' ' -f40,41 /proc/self/stat; ionice -p $$"); out != "7 1\nrealtime: prio 1\n" {
		t.Errorf("inside: %q", out)
	}
}
