package process

import (
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

func TestExecStreamsAndExitCode(t *testing.T) {
	t.Parallel()
	s := running(t)
	for _, c := range []struct {
		script string
		code   int
	}{{"true", 0}, {"exit 7", 7}, {"exit 254", 254}, {"exit 255", 255}} {
		r := s.Davit(execLine(s, c.script)...)
		if r.Code != c.code || r.Stdout()+r.Stderr() != "" {
			t.Errorf("%q: exit code %d, want %d; output %q %q", c.script, r.Code, c.code, r.Stdout(), r.Stderr())
		}
	}
	// In the container's PID namespace it isn't the first process: signals end it.
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGSEGV, unix.SIGUSR2} {
		r := s.Davit(execLine(s, fmt.Sprintf("kill -%d $$", sig))...)
		if want := 128 + int(sig); r.Code != want {
			t.Errorf("%s: exit code %d, want %d", unix.SignalName(sig), r.Code, want)
		}
	}
	r := s.Command(execLine(s, "cat; echo error >&2")...).In("one\ntwo\n").Do()
	r.Succeeds()
	if r.Stdout() != "one\ntwo\n" || r.Stderr() != "error\n" {
		t.Errorf("out %q, err %q", r.Stdout(), r.Stderr())
	}
	// Flags behind the command are the command's.
	r = s.Davit("exec", s.ID, "/bin/echo", "-e", "--tty", "--", "-d")
	if r.Stdout() != "--tty -- -d\n" {
		t.Errorf("arguments became %q %q", r.Stdout(), r.Stderr())
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Parallel()
	s := running(t, harness.Env("OWN=container", "CHANGED=before"))
	c := s.Command("exec", "-e", "A=1,2,3", "--env", "CHANGED=after", "--env=EMPTY=", s.ID, "/bin/env")
	c.Env = append(os.Environ(), "SECRET=caller", "LISTEN_PID=1", "NOTIFY_SOCKET=/nowhere", "_LIBCONTAINER_X=1")
	r := c.Do()
	r.Succeeds()
	lines := strings.Split(strings.TrimSpace(r.Stdout()), "\n")
	want := []string{"PATH=/bin", "TERM=xterm", "OWN=container", "A=1,2,3", "CHANGED=after", "EMPTY=", "HOME=/root"}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("the environment is\n%v, want\n%v", lines, want)
	}
	if out := execute(s, "echo $HOME", "-u", "1000"); out != "/home/alice\n" {
		t.Errorf("HOME of another user is %q", out)
	}
}

func TestExecCwd(t *testing.T) {
	t.Parallel()
	s := running(t, func(s *specs.Spec) { s.Process.Cwd = "/home" })
	if out := execute(s, "pwd"); out != "/home\n" {
		t.Errorf("the working directory is %q", out)
	}
	if out := execute(s, "pwd", "--cwd", "/etc"); out != "/etc\n" {
		t.Errorf("the working directory is %q", out)
	}
	s.Davit(execLine(s, "pwd", "--cwd", "etc")...).FailsWith(255, "exec failed: ", "cwd", "absolute")
	s.Davit(execLine(s, "pwd", "--cwd", "/etc/passwd")...).FailsWith(255, "process.cwd", "not a directory")
	s.Davit(execLine(s, "pwd", "--cwd", "/not/there")...).FailsWith(255, "process.cwd", "no such file or directory")
}

// Descriptors of directories outside are of no use to a process that joins (CVE-2024-21626).
func TestExecCwdInside(t *testing.T) {
	t.Parallel()
	s := running(t)
	s.WriteFile("/inside-the-container", "", 0o644)
	root, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for fd := 3; fd < 16; fd++ {
		c := s.Command(execLine(s, "pwd; ls | grep inside", "--cwd", fmt.Sprintf("/proc/self/fd/%d", fd))...)
		c.ExtraFiles = []*os.File{root, root, root, root}
		// One number is the stage's own, for the container's root.
		if r := c.Do(); r.Code == 0 && r.Stdout() == "/\ninside-the-container\n" {
			continue
		} else {
			r.FailsWith(255, "process.cwd")
		}
	}
}

func TestExecAdditionalGroups(t *testing.T) {
	t.Parallel()
	s := running(t, harness.User(0, 0, 5))
	if out := execute(s, "id -G"); out != "0 5\n" {
		t.Errorf("without flags the groups are %q", out)
	}
	if out := execute(s, "id -G", "-u", "1000:1000", "-g", "6", "--additional-gids", "7"); out != "1000 5 6 7\n" {
		t.Errorf("the groups are %q", out)
	}
	for _, bad := range []string{"-1", "", "wheel", "4294967295", "4294967296", "0x1", "+1"} {
		s.Davit(execLine(s, "id", "--additional-gids="+bad)...).FailsWith(255, "--additional-gids")
	}
}

func TestExecCapabilities(t *testing.T) {
	t.Parallel()
	s := running(t, harness.Capabilities("CAP_KILL", "CAP_CHOWN"))
	const kill, chown, rawNet = 1 << 5, 1, 1 << 13
	out := execute(s, "grep Cap /proc/self/status", "--cap", "CAP_NET_RAW", "-c", "CAP_KILL")
	want := fmt.Sprintf("CapInh: %016x CapPrm: %016x CapEff: %016x CapBnd: %016x CapAmb: %016x", 0, kill|chown|rawNet, kill|chown|rawNet, kill|chown|rawNet, 0)
	if fields(out) != want {
		t.Errorf("with --cap: %s, want %s", fields(out), want)
	}
	out = execute(s, "grep Cap /proc/self/status")
	want = fmt.Sprintf("CapInh: %016x CapPrm: %016x CapEff: %016x CapBnd: %016x CapAmb: %016x", 0, kill|chown, kill|chown, kill|chown, 0)
	if fields(out) != want {
		t.Errorf("without: %s, want %s", fields(out), want)
	}
	// A user other than root keeps what is permitted only for the next exec's file capabilities: nothing is ambient.
	out = execute(s, "grep -E 'CapInh|CapEff|CapAmb' /proc/self/status", "--user", "1000", "--cap", "CAP_NET_RAW")
	if want := fmt.Sprintf("CapInh: %016x CapEff: %016x CapAmb: %016x", 0, 0, 0); fields(out) != want {
		t.Errorf("as a user: %s, want %s", fields(out), want)
	}
}

func TestExecNoNewPrivileges(t *testing.T) {
	t.Parallel()
	s := running(t, func(s *specs.Spec) { s.Process.NoNewPrivileges = false })
	if out := execute(s, "grep NoNewPrivs /proc/self/status"); out != "NoNewPrivs:\t0\n" {
		t.Errorf("without the flag: %q", out)
	}
	if out := execute(s, "grep NoNewPrivs /proc/self/status", "--no-new-privs"); out != "NoNewPrivs:\t1\n" {
		t.Errorf("with the flag: %q", out)
	}
}

// What the host can't give is refused, not left out. On a host that has it, this is tested with the security modules.
func TestExecLabels(t *testing.T) {
	t.Parallel()
	s := running(t)
	if _, err := os.Stat("/sys/module/apparmor"); err != nil {
		s.Davit(execLine(s, "true", "--apparmor", "davit-no-such")...).FailsWith(255, "process.apparmorProfile")
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err != nil {
		s.Davit(execLine(s, "true", "--process-label", "system_u:system_r:container_t:s0")...).FailsWith(255, "process.selinuxLabel")
	}
}

func TestExecDetach(t *testing.T) {
	t.Parallel()
	s := running(t)
	pidFile := filepath.Join(s.Dir, "exec.pid")
	begin := time.Now()
	r := s.Davit(execLine(s, "echo started; exec sleep 1000", "--detach", "--pid-file", pidFile)...)
	r.Succeeds()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("--detach took %s", took)
	}
	pid := readPID(t, pidFile)
	harness.Eventually(t, "its output", func() bool { return r.Stdout() == "started\n" })
	if own, init := link(t, fmt.Sprintf("/proc/%d/ns/mnt", pid)), link(t, fmt.Sprintf("/proc/%d/ns/mnt", s.PID())); own != init {
		t.Errorf("the pid file names a process in another mount namespace: %s, the container's is %s", own, init)
	}
	if got := descriptors(t, pid); got != "0 1 2" {
		t.Errorf("open descriptors are %s", got)
	}
	// In the foreground, too.
	other := filepath.Join(s.Dir, "other.pid")
	c := s.Command(execLine(s, "echo started; exec sleep 1000", "--pid-file", other)...)
	c.Begin()
	c.Written("started")
	if err := unix.Kill(readPID(t, other), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := c.End(); r.Code != 137 {
		t.Errorf("exit code %d of a killed process", r.Code)
	}
	s.Davit(execLine(s, "true", "--pid-file", "/nowhere/pid")...).FailsWith(255, "--pid-file")
}

func TestExecPreserveFDs(t *testing.T) {
	t.Parallel()
	s := running(t)
	var files []*os.File
	for _, text := range []string{"three", "four", "five"} {
		path := filepath.Join(s.Dir, text)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	pidFile := filepath.Join(s.Dir, "pid")
	c := s.Command(execLine(s, "read a <&3; read b <&4; echo $a $b; exec sleep 1000", "--preserve-fds", "2", "-d", "--pid-file", pidFile)...)
	c.ExtraFiles = files
	c.Begin()
	c.Written("three four\n")
	c.End().Succeeds()
	if got := descriptors(t, readPID(t, pidFile)); got != "0 1 2 3 4" {
		t.Errorf("open descriptors are %s", got)
	}
	c = s.Command(execLine(s, "true", "--preserve-fds", "3")...)
	c.ExtraFiles = []*os.File{files[0], nil, files[2]} // the second is closed
	c.Do().FailsWith(255, "unable to stat preserved-fd 4")
	s.Davit(execLine(s, "true", "--preserve-fds", "1")...).FailsWith(255, "unable to stat preserved-fd 3")
	if r := s.Davit(execLine(s, "true", "--preserve-fds", "-1")...); r.Code == 0 {
		t.Error("--preserve-fds -1 was taken")
	}
}

func TestExecIgnorePaused(t *testing.T) {
	t.Parallel()
	s := running(t)
	s.Davit("pause", s.ID).Succeeds()
	begin := time.Now()
	s.Davit(execLine(s, "true")...).FailsWith(255, "exec failed: ", "cannot exec in a paused container (use --ignore-paused to override)")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the refusal took %s", took)
	}
	// It joins and stands still with the others until they go on.
	c := s.Command(execLine(s, "echo alive", "--ignore-paused")...)
	c.Begin()
	time.Sleep(200 * time.Millisecond)
	s.Davit("resume", s.ID).Succeeds()
	r := c.End()
	r.Succeeds()
	if r.Stdout() != "alive\n" {
		t.Errorf("the output is %q", r.Stdout())
	}
}
