package rootless

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// kinds are the ways in which a user maps ids.
func kinds() map[string]struct {
	user *account
	edit harness.Edit
} {
	return map[string]struct {
		user *account
		edit harness.Edit
	}{
		"one id":                 {hand, func(*specs.Spec) {}},
		"one id of one with sub": {skipper, func(*specs.Spec) {}},
		"subordinate ids":        {skipper, skipper.subordinate()},
	}
}

// An ordinary user makes, looks at, joins, signals and removes a container.
func TestLife(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := k.user
			s := u.sandbox(t, k.edit, harness.Args("/bin/sleep", "1000"))
			s.WriteConfig()
			u.davit(s, "create", "--bundle", s.Bundle, s.ID).Do().Succeeds()
			if st := s.State(); st.Status != specs.StateCreated {
				t.Errorf("the state is %s", st.Status)
			}
			if created := processes(t, u, s); len(created) != 1 || created[0] != s.PID() {
				t.Errorf("before the start there are the processes %v", created)
			}
			u.davit(s, "start", s.ID).Do().Succeeds()
			list := u.davit(s, "list").Do()
			if list.Succeeds(); !strings.Contains(list.Stdout(), s.ID) || !strings.Contains(list.Stdout(), u.name) {
				t.Errorf("list tells %q", list.Stdout())
			}
			x := u.davit(s, "exec", s.ID, "/bin/sh", "-c", "id -u; id -g; cat /proc/1/comm; touch /tmp/mine && stat -c %u /tmp/mine; hostname").Do()
			if x.Succeeds(); fields(x.Stdout()) != "0 0 sleep 0 davit" {
				t.Errorf("exec tells %q", x.Stdout())
			}
			var st unix.Stat_t
			must(t, unix.Stat(s.Path("tmp/mine"), &st))
			if int(st.Uid) != u.uid {
				t.Errorf("a file of the container's root belongs to %d", st.Uid)
			}
			execTerminal(t, u, s)
			u.davit(s, "exec", "--detach", s.ID, "/bin/sleep", "999").Do().Succeeds()
			if all := processes(t, u, s); len(all) != 2 || !slices.Contains(all, s.PID()) {
				t.Errorf("the processes are %v, want %d and another", all, s.PID())
			}
			u.davit(s, "kill", "--all", s.ID, "HUP").Do().Succeeds()
			harness.Eventually(t, "the end of all but the first process, which ignores what it doesn't handle", func() bool { return len(processes(t, u, s)) == 1 })
			u.davit(s, "delete", s.ID).Do().Fails("is not stopped")
			u.davit(s, "kill", s.ID, "KILL").Do().Succeeds()
			s.WaitStatus(specs.StateStopped)
			u.davit(s, "delete", s.ID).Do().Succeeds()
			u.davit(s, "state", s.ID).Do().Fails("container does not exist")
		})
	}
}

// execTerminal joins the container on a terminal, whose other end belongs to the process's user.
func execTerminal(t *testing.T, u *account, s *harness.Sandbox) {
	t.Helper()
	c := u.davit(s, "exec", "-t", s.ID, "/bin/sh")
	term := c.OnTerminal(24, 80)
	c.Begin()
	term.Type("echo on $(tty) of $(stat -c %u $(tty)); stty size; exit 7\n")
	term.Expect("on /dev/pts/0 of 0")
	term.Expect("24 80")
	if r := c.End(); r.Code != 7 {
		t.Errorf("exec -t ended with %d: %s", r.Code, term.Text())
	}
}

// The foreground: exit codes, signals, a terminal.
func TestRun(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := k.user
			s := u.sandbox(t, k.edit, harness.Shell("cat /proc/self/uid_map; exit 42"))
			s.WriteConfig()
			r := u.davit(s, "run", "--bundle", s.Bundle, s.ID).Do()
			if r.Code != 42 || !strings.HasPrefix(fields(r.Stdout()), "0 471") {
				t.Errorf("exit code %d: %s%s", r.Code, r.Stdout(), r.Stderr())
			}
			s.Edit(func(c *specs.Spec) { c.Process.Terminal = true }, harness.Args("/bin/sh"))
			s.WriteConfig()
			c := u.davit(s, "run", "--bundle", s.Bundle, s.ID)
			term := c.OnTerminal(30, 90)
			c.Begin()
			term.Type("echo on $(tty) of $(stat -c %u /dev/console); stty size; exit 3\n")
			term.Expect("on /dev/pts/0 of 0")
			term.Expect("30 90")
			if r := c.End(); r.Code != 3 {
				t.Errorf("run ended with %d: %s", r.Code, term.Text())
			}
			if left, err := os.ReadDir(filepath.Join(s.Dir, "run/davit")); err != nil || len(left) > 0 && !strings.HasPrefix(left[0].Name(), "@") {
				t.Errorf("left in the state: %v, %v", left, err)
			}
		})
	}
}

// With subordinate ids there are other users and groups; with one id there are none, and an error says so.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := skipper.sandbox(t, skipper.subordinate(), harness.User(1000, 1000, 7, 65536), harness.Shell("id -u; id -g; id -G; touch /tmp/mine"))
	out := s.Output()
	if fields(out) != "1000 1000 1000 7 65536" {
		t.Errorf("ids are %s", fields(out))
	}
	var st unix.Stat_t
	must(t, unix.Stat(s.Path("tmp/mine"), &st))
	if st.Uid != skipper.sub+999 || st.Gid != skipper.sub+999 {
		t.Errorf("a file of user 1000 belongs to %d:%d", st.Uid, st.Gid)
	}
	s = skipper.sandbox(t, skipper.subordinate(), harness.User(70000, 0))
	s.Run().Fails("process.user.uid", "70000")
	s = hand.sandbox(t, harness.User(1000, 0))
	s.Run().Fails("process.user.uid", "1000")
	s = hand.sandbox(t, harness.User(0, 1000))
	s.Run().Fails("process.user.gid", "1000")
	s = hand.sandbox(t, harness.User(0, 0, 7))
	s.Run().Fails("process.user.additionalGids")

	s = hand.sandbox(t, harness.Args("/bin/sleep", "1000"))
	s.Create().Succeeds()
	defer s.Delete()
	s.Davit("start", s.ID).Succeeds()
	s.Davit("exec", "--user", "1000:1000", s.ID, "/bin/true").FailsWith(255, "process.user", "1000:1000", "linux.uidMappings")
	s.Davit("exec", "--additional-gids", "7", s.ID, "/bin/true").FailsWith(255, "process.user", "groups")
}

// processes is what ps tells.
func processes(t *testing.T, u *account, s *harness.Sandbox) (pids []int) {
	t.Helper()
	r := u.davit(s, "ps", "--format", "json", s.ID).Do()
	r.Succeeds()
	must(t, json.Unmarshal([]byte(r.Stdout()), &pids))
	return pids
}
