package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func status() Exec { return exec("/bin/cat", "/proc/self/status") }

func TestUserAndCapabilities(t *testing.T) {
	needRoot(t)
	const caps = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_KILL
	groups := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 7), 4000000000)
	o := run(t, program(Bounding{Keep: caps | 1<<unix.CAP_CHOWN, Last: unix.CAP_LAST_CAP}, User{UID: 12345, GID: 4294967294, Groups: groups, SetGroups: 1},
		Capabilities{Effective: caps, Permitted: caps, Inheritable: caps, Ambient: caps}, NoNewPrivs{}, status())).succeeded(t)
	for field, want := range map[string]string{"Uid": "12345\t12345\t12345\t12345", "Gid": "4294967294\t4294967294\t4294967294\t4294967294",
		"Groups": "7 4000000000", "CapEff": "0000000000000022", "CapPrm": "0000000000000022", "CapInh": "0000000000000022",
		"CapAmb": "0000000000000022", "CapBnd": "0000000000000023", "NoNewPrivs": "1"} {
		if got := statusField(t, o.out, field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	for _, u := range []User{{UID: 1<<32 - 1}, {UID: 1 << 32}, {GID: 1<<32 - 1}, {GID: 1 << 33}} {
		run(t, program(u, exec("/bin/true"))).failed(t, "setresuid", unix.EINVAL)
	}
}

func TestAttributes(t *testing.T) {
	sched := make([]byte, 56) // struct sched_attr: SCHED_BATCH with nice 5
	binary.NativeEndian.PutUint32(sched, 56)
	binary.NativeEndian.PutUint32(sched[4:], 3)
	binary.NativeEndian.PutUint32(sched[16:], 5)
	script := "cut -d' ' -f18,19,41 /proc/$$/stat; ulimit -Sn; ulimit -Hn; uname -m; cut -d' ' -f6 /proc/$$/stat; echo $$; grep Cpus_allowed: /proc/self/status"
	o := run(t, program(Clone{Cgroup: None}, Session{}, Rlimit{Resource: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200}, Scheduler{Attr: sched},
		IOPriority{Value: 2<<13 | 3}, Affinity{Mask: []byte{1, 0, 0, 0, 0, 0, 0, 0}}, Personality{Domain: 8}, shell(script))).succeeded(t)
	f := strings.Fields(o.out)
	if len(f) != 10 || f[0] != "25" || f[1] != "5" || f[2] != "3" {
		t.Errorf("priority, nice, policy: %q", o.out)
	}
	if f[3] != "100" || f[4] != "200" {
		t.Errorf("limits: %q", o.out)
	}
	if f[5] == "x86_64" {
		t.Errorf("the personality is not that of 32 bits: %q", o.out)
	}
	if f[6] != f[7] {
		t.Errorf("session %s of process %s", f[6], f[7])
	}
	if strings.TrimLeft(f[9], "0,") != "1" {
		t.Errorf("CPUs %s", f[9])
	}
}

func TestMemoryPolicy(t *testing.T) {
	const bind = 2
	o := run(t, program(MemoryPolicy{Mode: bind, Nodes: []byte{1, 0, 0, 0, 0, 0, 0, 0}}, exec("/bin/cat", "/proc/self/numa_maps")))
	if errors.Is(o.err, unix.ENOSYS) {
		t.Skip("this kernel has no NUMA policies")
	}
	if o.succeeded(t); !strings.Contains(o.out, " bind:0 ") {
		t.Errorf("the policy in effect: %.200q", o.out)
	}
	// The highest node of a mask counts: 63 is not there.
	run(t, program(MemoryPolicy{Mode: bind, Nodes: []byte{0, 0, 0, 0, 0, 0, 0, 0x80}}, exec("/bin/true"))).failed(t, "set_mempolicy", unix.EINVAL)
	run(t, program(MemoryPolicy{}, exec("/bin/true"))).succeeded(t)
}

func TestNamespaces(t *testing.T) {
	needRoot(t)
	o := run(t, program(Clone{Flags: unix.CLONE_NEWUTS | unix.CLONE_NEWNET | unix.CLONE_NEWPID, Cgroup: None}, Hostname{Name: "inside"}, Domainname{Name: "domain"},
		Loopback{}, TimeNamespace{Offsets: "boottime 1000 0\n"}, Keyring{Name: "_ses.test"}, Sysctl{Path: "sys/net/ipv4/ip_forward", Value: "1"},
		shell("uname -n; cat /proc/sys/kernel/domainname; echo $$; cat /proc/self/timens_offsets /proc/sys/net/ipv4/ip_forward; "+
			"grep -c 127.0.0.1 /proc/self/net/fib_trie"))).succeeded(t)
	f := strings.Fields(o.out)
	if len(f) != 11 || f[0] != "inside" || f[1] != "domain" || f[2] != "1" || f[7] != "1000" || f[9] != "1" || f[10] == "0" {
		t.Errorf("inside: %q", o.out)
	}
	run(t, program(Clone{Cgroup: None}, TimeNamespace{}, exec("/bin/true"))).succeeded(t) // without offsets
	run(t, program(Sysctl{Path: "sys/no/such/thing", Value: "1"})).failed(t, "open", unix.ENOENT)
}

func TestJoin(t *testing.T) {
	needRoot(t)
	pid := 0
	join := func(s *Stage, r Report) bool {
		switch r := r.(type) {
		case Cloned:
			pid = r.PID
		case Waiting: // it has its name
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Error(err)
			}
			defer unix.Close(fd)
			p := program(Join{Fd: 0, Type: unix.CLONE_NEWUTS | unix.CLONE_NEWPID}, Clone{Cgroup: None}, shell("uname -n; echo $$"))
			o := (&call{programs: []Program{p}, fds: []int{fd}}).run(t).succeeded(t)
			if o.out != "inside\n2\n" {
				t.Errorf("joined: %q", o.out)
			}
			if err := s.Release(r.Token); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	p := program(Clone{Flags: unix.CLONE_NEWUTS | unix.CLONE_NEWPID, Cgroup: None}, Hostname{Name: "inside"}, Sync{Token: uint64(TokenHooksRun)}, exec("/bin/true"))
	(&call{programs: []Program{p}, on: join}).run(t).succeeded(t)
	if pid == 0 {
		t.Error("the process was never reported")
	}
}

// openWay lets everybody reach a directory of the test's. What is above those is the host's, and stays as it is.
func openWay(t *testing.T, dir string) {
	t.Helper()
	temp, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for ; strings.HasPrefix(dir, temp+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err != nil || st.Mode()&0o001 == 0 {
			t.Skipf("needs a directory for temporary files that everybody can reach: %s is closed (%v)", dir, err)
		}
	}
}

func TestChdir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if o := run(t, program(Chdir{Path: dir}, exec("/bin/pwd"))).succeeded(t); o.out != dir+"\n" {
		t.Errorf("working directory %q", o.out)
	}
	run(t, program(Chdir{Path: dir + "/missing", MayFail: 1})).failed(t, "chdir", unix.ENOENT)
	needRoot(t)
	if err := os.Mkdir(dir+"/private", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir+"/private", 12345, 12345); err != nil {
		t.Fatal(err)
	}
	openWay(t, dir)
	private := Chdir{Path: dir + "/private", MayFail: 1}
	user := []Op{User{UID: 12345, GID: 12345, SetGroups: 1}, Capabilities{}}
	noCaps := []Op{User{UID: 4242, GID: 4242, SetGroups: 1}, Capabilities{}}
	// Who may not enter at first may later.
	run(t, program(append(append([]Op{private}, user...), Chdir{Path: private.Path}, exec("/bin/true"))...)).succeeded(t)
	run(t, program(append(noCaps, private, Chdir{Path: private.Path}, exec("/bin/true"))...)).failed(t, "chdir", unix.EACCES)
}

func TestLookUp(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plain", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, program(LookUp{Paths: []string{dir + "/missing", dir + "/plain/x", "/bin/true"}}, exec("/bin/true"))).succeeded(t)
	for path, errno := range map[string]unix.Errno{dir + "/missing": unix.ENOENT, dir + "/plain": unix.EACCES, dir: unix.EISDIR} {
		run(t, program(LookUp{Paths: []string{dir + "/none", path}})).failed(t, "exec", errno)
	}
	// Filters written before these calls existed forbid them; access(2) is always known.
	old := []Op{NoNewPrivs{}, Seccomp{Filter: sockFilter(map[uintptr]unix.Errno{unix.SYS_STATX: unix.EPERM, unix.SYS_FACCESSAT2: unix.EPERM})}}
	run(t, program(append(old, LookUp{Paths: []string{"/bin/true"}}, exec("/bin/true"))...)).succeeded(t)
	run(t, program(append(old, LookUp{Paths: []string{dir + "/missing"}})...)).failed(t, "exec", unix.ENOENT)
}

// TestLookUpUsesTheCapabilities has a program that a user may execute by a capability alone.
func TestLookUpUsesTheCapabilities(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/true", dir+"/true"); err != nil {
		t.Fatal(err)
	}
	for caps, ok := range map[uint64]bool{1 << unix.CAP_DAC_OVERRIDE: true, 0: false} {
		o := run(t, program(User{UID: 12345, GID: 12345, SetGroups: 1}, Capabilities{Effective: caps, Permitted: caps, Inheritable: caps, Ambient: caps},
			LookUp{Paths: []string{dir + "/true"}}, exec(dir+"/true")))
		if ok {
			o.succeeded(t)
		} else {
			o.failed(t, "exec", unix.EACCES)
		}
	}
}

func TestCloseFromOnOldKernels(t *testing.T) {
	// Linux 5.10 has close_range(2) without CLOSE_RANGE_CLOEXEC; older filters don't know it at all.
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EPERM, unix.ENOSYS} {
		p := program(NoNewPrivs{}, Seccomp{Filter: sockFilter(map[uintptr]unix.Errno{unix.SYS_CLOSE_RANGE: errno})}, CloseFrom{First: 4},
			exec("/bin/ls", "-1", "/proc/self/fd"))
		o := (&call{programs: []Program{p}, files: []uintptr{0, 0, 0}}).run(t).succeeded(t)
		if o.out != "0\n1\n2\n3\n4\n" {
			t.Errorf("%v: descriptors %q", errno, o.out)
		}
	}
}

func TestSeccompRefuses(t *testing.T) {
	allow := sockFilter(nil)
	for name, filter := range map[string][]byte{"longer than the kernel takes": append(make([]byte, 8*4096), allow...),
		"of a length that 16 bits hold no more": append(make([]byte, 8*65536), allow...), "half an instruction": allow[:12], "empty": nil} {
		o := run(t, program(NoNewPrivs{}, Seccomp{Filter: filter}, exec("/bin/true")))
		if e := o.failed(t, "seccomp", unix.EINVAL); e.Instr.Op == nil {
			t.Errorf("%s: %v", name, e)
		}
	}
	run(t, program(NoNewPrivs{}, Seccomp{Filter: allow}, exec("/bin/true"))).succeeded(t)
}

func TestListenerIsReported(t *testing.T) {
	needRoot(t)
	on := func(s *Stage, r Report) bool {
		if l, ok := r.(Listener); ok {
			pidfd, err := unix.PidfdOpen(s.PID(), 0)
			if err != nil {
				t.Error(err)
			}
			defer unix.Close(pidfd)
			fd, err := unix.PidfdGetfd(pidfd, l.Fd, 0)
			for _, token := range []Token{TokenListenerSent, TokenStart} {
				if err := s.Release(token); err != nil {
					t.Error(err)
				}
			}
			if err != nil {
				t.Errorf("fetch the listener: %v", err)
				return false
			}
			defer unix.Close(fd)
			if name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd)); name != "anon_inode:seccomp notify" {
				t.Errorf("the listener is %q", name)
			}
		}
		return false
	}
	p := program(NoNewPrivs{}, Seccomp{Filter: sockFilter(nil), Flags: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}, Wait{Token: uint64(TokenStart)}, exec("/bin/true"))
	o := (&call{programs: []Program{p}, on: on}).run(t).succeeded(t)
	if len(o.reports) != 1 {
		t.Errorf("reports %v", o.reports)
	}
}

func TestPark(t *testing.T) {
	for _, c := range []struct {
		op   Op
		want string
	}{
		{exec("/bin/true"), ""},
		{exec("/no/such/program"), "exec /no/such/program: no such file or directory"},
		{Umask{}, "field4: the plan ends without exec: invalid argument"},
	} {
		path := t.TempDir() + "/fifo"
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		p := program(Clone{Cgroup: None}, CloseFrom{First: 3}, ReportReady{}, Park{Fifo: 0}, c.op)
		// Its own process, so that nothing is left to wait for at the end of the conversation but the parked one.
		needStage(t)
		s, err := Start([]uintptr{0, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(p, []int{fd}); err != nil {
			t.Fatal(err)
		}
		reports, err := receiveAll(s)
		if err != io.EOF || len(reports) != 2 || reports[1] != (Ready{}) {
			t.Fatalf("reports %v, %v", reports, err)
		}
		s.Close()
		fifo, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := io.ReadAll(fifo)
		fifo.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := DecodeFailure(msg, p); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("the FIFO says %v, want %q", err, c.want)
		}
		if _, err := unix.Wait4(reports[0].(Cloned).PID, nil, 0, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestLabelsGoThroughTheCallersProcfs(t *testing.T) {
	// Without a security module in charge of it the kernel refuses what is written; the file is named all the same.
	o := run(t, program(Label{File: "exec", Value: "x"}, exec("/bin/true")))
	var e *InstrError
	if _, err := os.ReadFile("/proc/self/attr/current"); o.err == nil && err == nil {
		t.Skip("a security module is in charge of the file, and takes any label")
	}
	if !errors.As(o.err, &e) {
		t.Fatalf("error %v (status %#x)", o.err, o.status)
	}
	if e.Detail != "/proc/self/attr/exec" {
		t.Errorf("failed with %v", e)
	}
}
