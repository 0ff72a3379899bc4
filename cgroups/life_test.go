package cgroups

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustCreate(t *testing.T, m Manager) {
	t.Helper()
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, m Manager) {
	t.Helper()
	for c, dir := range m.Paths() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: %s is left", c, dir)
		}
	}
}

func TestLife(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	p := sleeper(t)
	if err := m.Attach(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for _, g := range m.(*manager).groups {
		list, err := g.pids(false)
		if err != nil || !slices.Equal(list, []int{p.Process.Pid}) {
			t.Errorf("%s: %v, %v; want %d", g.dir, list, err, p.Process.Pid)
		}
	}
	again, err := Open(m.Paths(), &Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if list, err := again.Pids(true); err != nil || len(list) != 1 {
		t.Fatalf("Pids of the opened manager = %v, %v", list, err)
	}
	if err := again.Kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
	gone(t, m)
}

// TestBornInside: the child is in the cgroup from its first instruction.
func TestBornInside(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	fd, ok := m.Dir()
	if ok != (detect(t).Mode == V2) {
		t.Fatalf("Dir's ok is %v", ok)
	}
	if !ok {
		t.Skip("not all of the container's cgroups can be joined at clone here")
	}
	cmd := exec.Command("cat", "/proc/self/cgroup")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	out, err := cmd.CombinedOutput()
	if want := "0::/" + path.Base(m.Paths()[""]); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s, %v; want %s", out, err, want)
	}
}

func TestCreateRefusesProcesses(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	if err := m.Attach(sleeper(t).Process.Pid); err != nil {
		t.Fatal(err)
	}
	second, err := New(detect(t), &m.(*manager).cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	err = second.Create()
	var busy *NotEmptyError
	if !errors.As(err, &busy) || err.Error() != "container's cgroup is not empty: 1 process(es) found" {
		t.Fatalf("Create = %v", err)
	}
	for _, dir := range m.Paths() {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the refused Create removed %s", dir)
		}
	}
}

// TestCreateRefusesFrozen: not only a frozen cgroup, also one below a frozen one, where
// the container's first process would hang.
func TestCreateRefusesFrozen(t *testing.T) {
	name := fmt.Sprintf("/davit-test-frozen-%d", os.Getpid())
	parent := newManager(t, Config{Path: name})
	mustCreate(t, parent)
	if err := parent.Freeze(); err != nil {
		t.Fatal(err)
	}
	child, err := New(detect(t), &Config{Path: name + "/c"})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	if err := child.Create(); !errors.Is(err, ErrFrozen) || err.Error() != "container's cgroup unexpectedly frozen" {
		t.Errorf("Create below a frozen cgroup = %v", err)
	}
	gone(t, child)
	again, err := New(detect(t), &Config{Path: name})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Create(); !errors.Is(err, ErrFrozen) {
		t.Errorf("Create of a frozen cgroup = %v", err)
	}
}

// TestEmptyCgroupIsTaken: an engine may have made it.
func TestEmptyCgroupIsTaken(t *testing.T) {
	m := newManager(t, Config{})
	for _, dir := range m.Paths() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mustCreate(t, m)
	if err := m.Attach(sleeper(t).Process.Pid); err != nil {
		t.Fatal(err)
	}
}

func TestFreeze(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	s := newShell(t, m)
	if a := s.ask("echo before"); a != "before" {
		t.Fatal(a)
	}
	state := func(want FreezerState) {
		t.Helper()
		if got, err := m.State(); err != nil || got != want {
			t.Errorf("State = %v, %v; want %v", got, err, want)
		}
		if got := Paused(m.Paths()); got != (want != Thawed) {
			t.Errorf("Paused = %v when %v", got, want)
		}
	}
	state(Thawed)
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	state(Frozen)
	s.tell("echo after")
	if a := s.answer(100 * time.Millisecond); a != "" {
		t.Errorf("a frozen shell says %q", a)
	}
	if err := m.Freeze(); err != nil {
		t.Errorf("freezing twice: %v", err)
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	state(Thawed)
	if a := s.answer(5 * time.Second); a != "after" {
		t.Errorf("a thawed shell says %q", a)
	}
	if err := m.Thaw(); err != nil {
		t.Errorf("thawing twice: %v", err)
	}
}

// TestKillFrozen: a paused container can be killed.
func TestKillFrozen(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	s := newShell(t, m)
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := m.Kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended(t, s)
	if err := m.Destroy(); err != nil {
		t.Error(err)
	}
}

func ended(t *testing.T, s *shell) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case _, ok := <-s.out:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the killed shell goes on")
		}
	}
}

// TestKillWhatForks: a process that is always another one doesn't escape.
func TestKillWhatForks(t *testing.T) {
	for range 5 {
		m := newManager(t, Config{ID: fmt.Sprintf("test-forks-%d", time.Now().UnixNano())})
		mustCreate(t, m)
		s := newShell(t, m)
		s.tell("f() { ( f ) & exit; }; g() { for i in 1 2 3 4 5 6 7 8; do ( f ) & done; }; g >/dev/null; echo go")
		s.answer(time.Second)
		time.Sleep(10 * time.Millisecond)
		if err := m.Kill(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := m.Destroy(); err != nil {
			t.Fatal(err)
		}
		gone(t, m)
	}
}

// TestSignalAll: other signals reach every process, and the state is what it was.
func TestSignalAll(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	a, b := newShell(t, m), newShell(t, m)
	for _, s := range []*shell{a, b} {
		s.ask("trap 'echo caught' USR1; echo ready")
	}
	if err := m.Kill(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*shell{a, b} {
		s.tell("true")
		if got := s.answer(5 * time.Second); got != "caught" {
			t.Errorf("got %q", got)
		}
	}
	if state, err := m.State(); err != nil || state != Thawed {
		t.Errorf("State = %v, %v", state, err)
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := m.Kill(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if state, err := m.State(); err != nil || state != Frozen {
		t.Errorf("after a signal to a frozen container: %v, %v", state, err)
	}
}

// TestDestroyTree: what the payload made goes too.
func TestDestroyTree(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	for _, dir := range m.Paths() {
		for _, sub := range []string{"a/b/c", "a/d", "e"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.Destroy(); err != nil {
		t.Fatal(err)
	}
	gone(t, m)
	if err := m.Destroy(); err != nil {
		t.Errorf("destroying twice: %v", err)
	}
}

// TestDestroyNamesWhoHolds: and removes what isn't held.
func TestDestroyNamesWhoHolds(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	g, err := m.(*manager).main()
	if err != nil {
		t.Fatal(err)
	}
	sub := g.dir + "/sub"
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	p := sleeper(t)
	if err := os.WriteFile(sub+"/cgroup.procs", fmt.Append(nil, p.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	err = m.Destroy()
	var busy *BusyError
	if !errors.As(err, &busy) || !slices.Equal(busy.Pids, []int{p.Process.Pid}) || !strings.Contains(err.Error(), fmt.Sprintf("process(es) %d;", p.Process.Pid)) {
		t.Fatalf("Destroy = %v", err)
	}
}

// TestDestroyWaits: a process that is killed at this moment is no reason to fail.
func TestDestroyWaits(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	p := sleeper(t)
	if err := m.Attach(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = p.Process.Kill() })
	start := time.Now()
	if err := m.Destroy(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 90*time.Millisecond || d > time.Second {
		t.Errorf("took %v", d)
	}
}

// TestDestroyAfterACrash: a create that died may have made any of the directories, and
// nobody wrote down which.
func TestDestroyAfterACrash(t *testing.T) {
	for _, p := range []string{"", "crashed/x/y", fmt.Sprintf("/davit-test-crash-%d", os.Getpid())} {
		cfg := Config{ID: fmt.Sprintf("test-crash-%d", os.Getpid()), Path: p}
		groups := len(newManager(t, cfg).(*manager).groups)
		for made := range groups + 1 {
			m := newManager(t, cfg)
			for _, g := range m.(*manager).groups[:made] {
				if _, err := g.mkdir(); err != nil {
					t.Fatal(err)
				}
			}
			cleaner := newManager(t, cfg)
			if err := cleaner.Destroy(); err != nil {
				t.Fatalf("%q, %d of %d directories: %v", p, made, groups, err)
			}
			gone(t, cleaner)
		}
	}
	for _, g := range newManager(t, Config{Path: "crashed/x/y"}).(*manager).groups {
		if entries, err := os.ReadDir(path.Dir(path.Dir(g.dir))); err == nil {
			t.Errorf("%s is left: %v", path.Dir(path.Dir(g.dir)), entries)
		}
	}
}

// TestSharedParents: containers with relative paths come and go beside each other.
func TestSharedParents(t *testing.T) {
	needRoot(t)
	const n = 4
	errs := make(chan error, n)
	for i := range n {
		go func() {
			errs <- func() error {
				layout, err := Detect()
				if err != nil {
					return err
				}
				for range 30 {
					m, err := New(layout, &Config{Path: fmt.Sprintf("shared/c%d", i)})
					if err != nil {
						return err
					}
					if err := m.Create(); err != nil {
						return err
					}
					if err := m.Destroy(); err != nil {
						return err
					}
					m.Close()
				}
				return nil
			}()
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestDelegation(t *testing.T) {
	m := newManager(t, Config{Owner: ptr[uint32](4242)})
	mustCreate(t, m)
	owner := func(file string) uint32 {
		var st unix.Stat_t
		if err := unix.Stat(file, &st); err != nil {
			t.Fatal(err)
		}
		return st.Uid
	}
	for c, dir := range m.Paths() {
		want := uint32(0)
		if c == "" {
			want = 4242
			if got := owner(dir + "/cgroup.events"); got != 0 {
				t.Errorf("cgroup.events belongs to %d", got)
			}
		}
		for _, file := range []string{dir, dir + "/cgroup.procs"} {
			if got := owner(file); got != want {
				t.Errorf("%q: %s belongs to %d, want %d", c, file, got, want)
			}
		}
	}
}

// createAs has another user create a container.
func createAs(t *testing.T, uid uint32, cfg helperConfig) string {
	t.Helper()
	needRoot(t)
	arg, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", string(arg))
	cmd.Env = append(os.Environ(), "CGROUPS_TEST_HELPER=create")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "failed: " + strings.TrimSpace(string(out))
	}
	return strings.TrimSpace(string(out))
}

func TestRootless(t *testing.T) {
	const uid = 65534
	if got := createAs(t, uid, helperConfig{ID: "rootless", Rootless: true}); got != "0 paths" {
		t.Errorf("rootless: %q", got)
	}
	if got := createAs(t, uid, helperConfig{ID: "rootless"}); !strings.HasPrefix(got, "failed: create cgroup ") || !strings.Contains(got, "permission denied") {
		t.Errorf("not rootless: %q", got)
	}
	if got := createAs(t, uid, helperConfig{ID: "rootless", Path: "/asked", Rootless: true}); !strings.HasPrefix(got, "failed: create cgroup ") {
		t.Errorf("rootless with a path: %q", got)
	}
	limited := helperConfig{ID: "rootless", Rootless: true}
	if err := json.Unmarshal([]byte(`{"pids":{"limit":5}}`), &limited.Resources); err != nil {
		t.Fatal(err)
	}
	if got := createAs(t, uid, limited); !strings.HasPrefix(got, "failed: linux.resources.pids.limit: the pids controller is not available") {
		t.Errorf("rootless with a limit: %q", got)
	}
	if err := json.Unmarshal([]byte(`{"pids":null,"devices":[{"allow":false,"access":"rwm"}],"cpu":{"shares":0}}`), &limited.Resources); err != nil {
		t.Fatal(err)
	}
	limited.Resources.Pids = nil
	if got := createAs(t, uid, limited); !strings.HasSuffix(got, "0 paths") || !strings.HasPrefix(got, "warning: linux.resources.devices: ") {
		t.Errorf("rootless with devices: %q", got)
	}
}
