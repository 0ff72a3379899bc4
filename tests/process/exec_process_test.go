package process

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Everything in a process object counts, whatever the container's own has.
func TestExecProcess(t *testing.T) {
	t.Parallel()
	s := running(t, harness.Env("OWN=container"))
	file := processFile(s, `echo $(id -u) $(id -g) $(id -G); pwd; umask; env | sort; ulimit -n; cat /proc/self/oom_score_adj; grep -E "NoNewPrivs|CapBnd|CapEff|CapPrm|CapInh|CapAmb" /proc/self/status; cat`,
		func(p *specs.Process) {
			umask, oom := uint32(0o037), 777
			p.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5, 6}, Umask: &umask}
			p.Cwd, p.Env, p.OOMScoreAdj, p.NoNewPrivileges = "/home", []string{"PATH=/bin", "A=b c"}, &oom, false
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 111, Hard: 222}}
			p.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN", "CAP_NET_RAW"}, Permitted: []string{"CAP_NET_RAW"},
				Inheritable: []string{"CAP_NET_RAW"}, Effective: []string{"CAP_NET_RAW"}, Ambient: []string{"CAP_NET_RAW"}}
		})
	for _, flag := range []string{"--process", "-p"} {
		r := s.Command("exec", flag, file, s.ID).In("typed\n").Do()
		r.Succeeds()
		want := `1000 1000 1000 5 6
/home
0037
A=b c
HOME=/home/alice
PATH=/bin
PWD=/home
SHLVL=1
111
777
CapInh:	0000000000002000
CapPrm:	0000000000002000
CapEff:	0000000000002000
CapBnd:	0000000000002001
CapAmb:	0000000000002000
NoNewPrivs:	0
typed
`
		if r.Stdout() != want {
			t.Errorf("%s: the process sees\n%s, want\n%s", flag, r.Stdout(), want)
		}
	}
}

func TestExecProcessUnset(t *testing.T) {
	t.Parallel()
	oom := 600
	s := running(t, func(s *specs.Spec) {
		s.Process.OOMScoreAdj = &oom
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 333, Hard: 444}}
		s.Process.User.Umask = harness.Pointer(uint32(0o077))
	})
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	// A file says all: what it leaves out isn't the container's.
	file := processFile(s, "cat /proc/self/oom_score_adj; umask; ulimit -n", func(p *specs.Process) {
		p.OOMScoreAdj, p.Rlimits, p.User.Umask, p.Capabilities = nil, nil, nil, nil
	})
	s.Prefix = []string{"/bin/sh", "-c", `umask 026; ulimit -n 555; exec "$@"`, "sh"}
	r := s.Davit("exec", "--process", file, s.ID)
	r.Succeeds()
	if want := strings.TrimSpace(string(own)) + " 0026 555"; fields(r.Stdout()) != want {
		t.Errorf("oom_score_adj, umask, limit are %s, want %s", fields(r.Stdout()), want)
	}
	// By flags the container's limits and umask are the process's, too.
	if out := execute(s, "umask; ulimit -n"); fields(out) != "0077 333" {
		t.Errorf("without a file: %s", fields(out))
	}
}

func TestExecProcessTerminal(t *testing.T) {
	t.Parallel()
	s := running(t)
	file := processFile(s, "tty; stty size", func(p *specs.Process) { p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 33, Width: 77} })
	sock := listenConsole(t, s)
	s.Davit("exec", "--detach", "--console-socket", sock.path, "--process", file, s.ID).Succeeds()
	if out := sock.read(t); out != "/dev/pts/0\n33 77\n" {
		t.Errorf("the terminal shows %q", out)
	}
}

func TestExecProcessRefused(t *testing.T) {
	t.Parallel()
	s := running(t)
	for _, c := range []struct {
		edit func(*specs.Process)
		want string
	}{
		{func(p *specs.Process) {
			p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}, {Type: "RLIMIT_NOFILE", Soft: 1, Hard: 1}, {Type: "RLIMIT_CORE"}}
		}, "rlimits[2].type"},
		{func(p *specs.Process) { p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NONSENSE"}} }, "rlimits[0].type"},
		{func(p *specs.Process) { p.Args = nil }, "args"},
		{func(p *specs.Process) { p.Args = []string{""} }, "executable file not found in $PATH"},
		{func(p *specs.Process) { p.Cwd = "" }, "cwd"},
		{func(p *specs.Process) { p.Cwd = "home" }, "cwd"},
		{func(p *specs.Process) { p.User.UID = 1<<32 - 1 }, "user.uid"},
		{func(p *specs.Process) { p.OOMScoreAdj = harness.Pointer(1001) }, "oomScoreAdj"},
		{func(p *specs.Process) { p.Env = []string{"A=b\x00c"} }, "env"},
		{func(p *specs.Process) { p.Scheduler = &specs.Scheduler{Policy: "SCHED_NONE"} }, "scheduler.policy"},
		{func(p *specs.Process) { p.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_BE", Priority: 8} }, "ioPriority"},
		{func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Final: "x"} }, "execCPUAffinity.final"},
		{func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Final: "5000"} }, "execCPUAffinity.final"},
		{func(p *specs.Process) { p.Terminal = true; p.ConsoleSize = &specs.Box{Height: 1 << 16} }, "consoleSize"},
	} {
		s.Davit("exec", "--process", processFile(s, "true", c.edit), s.ID).FailsWith(255, "exec failed: ", c.want)
	}
	bad := filepath.Join(s.Dir, "bad.json")
	for _, text := range []string{"", "{", "[]", `{"args":["true"],"cwd":"/","user":{"uid":"0"}}`, `{"args":["true"],"cwd":"/","user":{"uid":-1}}`, `{"args":["true"],"cwd":"/"} x`} {
		if err := os.WriteFile(bad, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s.Davit("exec", "--process", bad, s.ID).FailsWith(255, "--process "+bad)
	}
	s.Davit("exec", "--process", "/nowhere", s.ID).FailsWith(255, "--process", "/nowhere", "no such file or directory")
	s.Davit("exec", s.ID).FailsWith(255, "exec args cannot be empty")
	// Nothing of it has touched the container.
	if got := s.State().Status; got != specs.StateRunning {
		t.Errorf("the status is %s", got)
	}
	if kids := childrenOf(t, s.PID()); len(kids) != 0 {
		t.Errorf("the container's process has children: %v", kids)
	}
}

// Sizes and numbers at the edge, as engines send them.
func TestExecProcessLarge(t *testing.T) {
	t.Parallel()
	s := running(t)
	file := processFile(s, `echo ${#BIG} $#`, func(p *specs.Process) {
		p.Env = append(p.Env, "BIG="+strings.Repeat("x", 100<<10))
		p.Args = append(p.Args, "sh")
		for i := range 5000 {
			p.Args = append(p.Args, strconv.Itoa(i))
		}
	})
	r := s.Davit("exec", "--process", file, s.ID)
	r.Succeeds()
	if r.Stdout() != strconv.Itoa(100<<10)+" 5000\n" {
		t.Errorf("the process sees %q", r.Stdout())
	}
	file = processFile(s, "true", func(p *specs.Process) { p.Args = append(p.Args, strings.Repeat("x", 200<<10)) })
	s.Davit("exec", "--process", file, s.ID).FailsWith(255, "argument list too long")
}

// A container that was created without process takes one by file only.
func TestExecWithoutOwnProcess(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	own := s.Spec.Process
	s.Spec.Process = nil
	s.Create().Succeeds()
	s.Davit(execLine(s, "true")...).FailsWith(255, "--process")
	data, err := json.Marshal(&specs.Process{Args: []string{"/bin/echo", "here"}, Cwd: "/", Env: own.Env})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.Dir, "process.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	r := s.Davit("exec", "--process", file, s.ID)
	r.Succeeds()
	if r.Stdout() != "here\n" {
		t.Errorf("the process wrote %q", r.Stdout())
	}
	s.Delete()
}
