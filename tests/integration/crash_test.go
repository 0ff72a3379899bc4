package integration

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

// At whatever instant davit is killed, `delete --force` restores the host. The
// tests here kill it before every system call that changes something, and
// after every quarter of a millisecond.

// davitCalls are what davit itself changes the world with; stageCalls are used by the stage only.
const (
	davitCalls = "openat,mkdirat,mkdir,mknodat,write,pwrite64,fsync,fdatasync,renameat,renameat2,unlinkat,unlink,rmdir,sendmsg,recvmsg,clone,clone3,vfork,kill," +
		"pidfd_open,pidfd_send_signal,wait4,waitid,flock,fchownat,fchmodat,memfd_create,socketpair,close"
	stageCalls = "fsopen,fsconfig,fsmount,open_tree,move_mount,mount_setattr,openat2,pivot_root,unshare,setns,mknodat,symlinkat,umount2,sethostname,setresuid,capset,prctl,chdir,execve"
)

// crashCommand is a command that is killed: what has to be there before it, and its arguments.
type crashCommand struct {
	name    string
	prepare func(s *harness.Sandbox)
	args    func(s *harness.Sandbox) []string
}

func crashCommands() []crashCommand {
	created := func(s *harness.Sandbox) { s.Create().Succeeds() }
	return []crashCommand{
		{"create", func(*harness.Sandbox) {}, func(s *harness.Sandbox) []string { return []string{"create", "--bundle", s.Bundle, s.ID} }},
		{"start", created, func(s *harness.Sandbox) []string { return []string{"start", s.ID} }},
		{"run", func(*harness.Sandbox) {}, func(s *harness.Sandbox) []string { return []string{"run", "-d", "--bundle", s.Bundle, s.ID} }},
		{"delete", created, func(s *harness.Sandbox) []string { return []string{"delete", s.ID} }},
		{"delete --force", func(s *harness.Sandbox) { start(s) }, func(s *harness.Sandbox) []string { return []string{"delete", "--force", s.ID} }},
	}
}

// crashSandbox has a container that doesn't end by itself.
func crashSandbox(t *testing.T) *harness.Sandbox {
	s := harness.New(t, harness.Args("/bin/sleep", "1000"))
	s.WriteConfig()
	return s
}

// clean deletes by force after a crash and demands that nothing is left.
func clean(t *testing.T, s *harness.Sandbox, when string) {
	t.Helper()
	r := s.Davit("delete", "--force", s.ID)
	if r.Code != 0 {
		t.Fatalf("%s: delete --force fails:\n%s", when, r.Stderr())
	}
	s.CheckHost()
	if t.Failed() {
		t.Fatal(when)
	}
}

// injected is a command that is killed at the Nth system call of one kind.
// strace counts each thread's for itself: it is whichever comes to its Nth first.
func injected(s *harness.Sandbox, strace, call string, n int, follow bool, args []string) *harness.Cmd {
	line := []string{strace, "-f", "-qq", "-o", "/dev/null", "--signal=none", "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n)}
	if !follow {
		line = append(line, "-b", "execve") // let go of what davit executes: the stage, hooks
	}
	s.Prefix = line
	c := s.Command(args...)
	s.Prefix = nil
	return c
}

func TestCrashAtSystemCalls(t *testing.T) {
	strace := harness.NeedTool(t, "strace", "strace")
	for _, c := range crashCommands() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := crashSandbox(t)
			kills := 0
			for _, call := range strings.Split(davitCalls, ",") {
				kills += killAtEach(t, s, c, strace, call)
			}
			t.Logf("killed %d times", kills)
			if kills < 20 {
				t.Errorf("%s was killed only %d times: does strace inject?", c.name, kills)
			}
		})
	}
}

// killAtEach kills a command before the first, second … call of one kind until it comes through, and returns how often.
func killAtEach(t *testing.T, s *harness.Sandbox, c crashCommand, strace, call string) int {
	t.Helper()
	for n := 1; ; n++ {
		c.prepare(s)
		r := injected(s, strace, call, n, false, c.args(s)).Do()
		if r.Code != 0 && r.Code != 137 {
			t.Fatalf("killed at %s %d: exit code %d\n%s", call, n, r.Code, r.Stderr())
		}
		clean(t, s, fmt.Sprintf("killed at %s %d", call, n))
		if r.Code == 0 {
			return n - 1
		}
	}
}

// The stage is killed and davit lives: it has to clean up itself, and to say what happened.
func TestCrashOfTheStage(t *testing.T) {
	strace := harness.NeedTool(t, "strace", "strace")
	for _, call := range strings.Split(stageCalls, ",") {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			s.WriteConfig()
			for n := 1; n < 60; n++ {
				// In the foreground: strace stays as long as anything that it follows.
				r := injected(s, strace, call, n, true, []string{"run", "--bundle", s.Bundle, s.ID}).Do()
				if r.Code == 0 {
					break
				}
				if r.Code == 1 && !strings.Contains(r.Stderr(), "level=error") {
					t.Errorf("killed at %s %d: no reason is given: %q", call, n, r.Stderr())
				}
				if r.Code == 1 {
					s.CheckHost() // without any delete
				}
				clean(t, s, fmt.Sprintf("stage killed at %s %d", call, n))
				n += n / 10
			}
		})
	}
}

func TestCrashAfterDelays(t *testing.T) {
	for _, c := range crashCommands() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := crashSandbox(t)
			killed := 0
			for d, late := time.Duration(0), 0; late < 4 && d < 60*time.Millisecond; d += 250 * time.Microsecond {
				c.prepare(s)
				cmd := s.Command(c.args(s)...)
				cmd.Begin()
				time.Sleep(d)
				_ = unix.Kill(cmd.Process.Pid, unix.SIGKILL)
				if cmd.End().Code == 137 {
					killed, late = killed+1, 0
				} else {
					late++
				}
				clean(t, s, fmt.Sprintf("killed after %s", d))
			}
			t.Logf("killed %d times", killed)
		})
	}
}

// A foreground run that is killed leaves a container that others can end.
func TestCrashOfForegroundRun(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo ready; exec sleep 1000"))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.Begin()
	c.Written("ready")
	if err := unix.Kill(c.Process.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.End()
	if st := s.State().Status; st != specs.StateRunning {
		t.Errorf("the status is %s", st)
	}
	clean(t, s, "run killed")
}

// Killed in the middle of a hook.
func TestCrashInHooks(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"createRuntime", "createContainer", "startContainer", "poststart"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "1000"))
			reached := filepath.Join(s.Dir, "reached")
			if kind == "startContainer" {
				reached = s.Path("reached")
			}
			s.Edit(harness.Hooks(func(h *specs.Hooks) {
				script := "echo >" + reached + "; sleep 2"
				if kind == "startContainer" {
					script = "echo >/reached; sleep 2"
				}
				*hookKinds(h)[kind] = []specs.Hook{sh(script)}
			}))
			s.WriteConfig()
			c := s.Command("run", "-d", "--bundle", s.Bundle, s.ID)
			c.Begin()
			harness.Eventually(t, "the hook", func() bool { _, err := os.Stat(reached); return err == nil })
			if err := unix.Kill(c.Process.Pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			c.End()
			s.Davit("delete", "--force", s.ID).Succeeds()
			// The hook itself is nobody's any more, and ends by itself.
			time.Sleep(2 * time.Second)
			clean(t, s, "killed in "+kind)
		})
	}
}
