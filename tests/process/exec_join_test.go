package process

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// shapes are containers that differ in what a process has to join.
var shapes = []struct {
	name  string
	edits []harness.Edit
}{
	{"usual", nil},
	{"user namespace", []harness.Edit{harness.UserNamespace(100000, 65536)}},
	{"time namespace", []harness.Edit{harness.Namespace(specs.TimeNamespace, "")}},
	{"user and time", []harness.Edit{harness.UserNamespace(100000, 65536), harness.Namespace(specs.TimeNamespace, "")}},
	{"host's PID namespace", []harness.Edit{harness.WithoutNamespace(specs.PIDNamespace)}},
	{"host's cgroup namespace", []harness.Edit{harness.WithoutNamespace(specs.CgroupNamespace)}},
	{"mount namespace only", []harness.Edit{func(s *specs.Spec) {
		s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
		s.Hostname = ""
	}}},
	{"user, host's PID namespace", []harness.Edit{harness.UserNamespace(100000, 65536), harness.WithoutNamespace(specs.PIDNamespace),
		harness.WithoutMount("/proc"), harness.Mount(specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}),
		func(s *specs.Spec) { s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil }}},
	{"seccomp", []harness.Edit{denyMkdir}},
	{"seccomp without no_new_privs", []harness.Edit{denyMkdir, func(s *specs.Spec) { s.Process.NoNewPrivileges = false }}},
}

func denyMkdir(s *specs.Spec) {
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: harness.Pointer(uint(unix.EXDEV))}}}
}

// A process that joins is where the container's own is, in everything that the kernel tells of it.
func TestExecJoins(t *testing.T) {
	t.Parallel()
	for _, c := range shapes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, append([]harness.Edit{harness.Args("/bin/sleep", "1000")}, c.edits...)...)
			if s.Spec.Linux.UIDMappings != nil {
				if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
					t.Fatal(err)
				}
			}
			start(s)
			t.Cleanup(s.Delete)
			joins(t, s)
		})
	}
}

// joins runs a process in the container and compares it with the first one.
func joins(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	pidFile := filepath.Join(s.Dir, "pid")
	c := s.Command("exec", "-d", "--pid-file", pidFile, s.ID, "/bin/sleep", "1000")
	c.ExtraFiles = []*os.File{null, null, nil, null, null, null}
	c.Do().Succeeds()
	pid, init := readPID(t, pidFile), s.PID()
	for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"} {
		own, want := link(t, fmt.Sprintf("/proc/%d/ns/%s", pid, ns)), link(t, fmt.Sprintf("/proc/%d/ns/%s", init, ns))
		if own != want {
			t.Errorf("namespace %s is %s, the container's %s", ns, own, want)
		}
	}
	for _, file := range []string{"cgroup", "mountinfo", "uid_map", "attr/current"} {
		own, err1 := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		want, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/%s", init, file))
		if string(own) != string(want) || (err1 == nil) != (err2 == nil) {
			t.Errorf("%s is\n%s%v\nthe container's\n%s%v", file, own, err1, want, err2)
		}
	}
	var own, want unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/root", pid), &own); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(fmt.Sprintf("/proc/%d/root", init), &want); err != nil {
		t.Fatal(err)
	}
	if own.Ino != want.Ino || own.Dev != want.Dev {
		t.Errorf("the root is another directory than the container's")
	}
	if got := descriptors(t, pid); got != "0 1 2" {
		t.Errorf("open descriptors are %s", got)
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	initStatus, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", init))
	for _, key := range []string{"Uid:", "Gid:", "Groups:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",
		"SigBlk:", "SigIgn:", "Cpus_allowed:", "Mems_allowed:", "Speculation_Store_Bypass:", "THP_enabled:"} {
		if own, want := line(string(status), key), line(string(initStatus), key); own != want || want == "" && key != "THP_enabled:" && key != "Groups:" {
			t.Errorf("%s is %q, the container's %q", key, own, want)
		}
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
}

func line(text, key string) string {
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, key); ok {
			return fields(rest)
		}
	}
	return ""
}

// The namespaces of another container, joined by path.
func TestExecJoinedNamespaces(t *testing.T) {
	t.Parallel()
	pod := running(t)
	pid := pod.PID()
	path := func(ns string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, ns) }
	s := running(t, harness.Namespace(specs.NetworkNamespace, path("net")), harness.Namespace(specs.IPCNamespace, path("ipc")),
		harness.Namespace(specs.UTSNamespace, path("uts")), harness.Namespace(specs.PIDNamespace, path("pid")), func(s *specs.Spec) { s.Hostname = "" })
	joins(t, s)
	if out := execute(s, "hostname; ps -o args | grep -c '[s]leep 1000'"); out != "davit\n2\n" {
		t.Errorf("in the pod the process sees %q", out)
	}
}

// On this kernel a filter is seen by what it denies.
func TestExecSeccomp(t *testing.T) {
	t.Parallel()
	s := running(t, denyMkdir)
	for _, flags := range [][]string{nil, {"-u", "1000"}} {
		r := s.Davit(execLine(s, "grep Seccomp: /proc/self/status; mkdir /tmp/x", flags...)...)
		r.FailsWith(1, "Invalid cross-device link")
		if r.Stdout() != "Seccomp:\t2\n" {
			t.Errorf("%v: %q", flags, r.Stdout())
		}
	}
	// Whatever becomes of the cache of compiled filters, the filter is there.
	if err := os.RemoveAll(filepath.Join(s.Root, "@seccomp")); err != nil {
		t.Fatal(err)
	}
	s.Davit(execLine(s, "mkdir /tmp/x")...).FailsWith(1, "Invalid cross-device link")
}

// The agent gets the listener of the process that joins, not of the first one.
func TestExecSeccompNotify(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "1000"), denyMkdir)
	sock := listenConsole(t, s)
	s.Spec.Linux.Seccomp.Syscalls[0].Action, s.Spec.Linux.Seccomp.Syscalls[0].ErrnoRet = specs.ActNotify, nil
	s.Spec.Linux.Seccomp.ListenerPath, s.Spec.Linux.Seccomp.ListenerMetadata = sock.path, "for the agent"
	s.Create().Succeeds()
	sock.receive(t)
	s.Davit("start", s.ID).Succeeds()
	t.Cleanup(s.Delete)
	pidFile := filepath.Join(s.Dir, "pid")
	s.Davit(execLine(s, "exec sleep 1000", "-d", "--pid-file", pidFile)...).Succeeds()
	f, text := sock.receive(t)
	var st specs.ContainerProcessState
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if pid := readPID(t, pidFile); st.Pid != pid || st.State.Pid != s.PID() || st.State.Status != specs.StateRunning || st.State.ID != s.ID || st.Metadata != "for the agent" {
		t.Errorf("the agent was told %+v; the process is %d, the container's %d", st, pid, s.PID())
	}
	if to := link(t, fmt.Sprintf("/proc/self/fd/%d", f.Fd())); to != "anon_inode:seccomp notify" {
		t.Errorf("the agent got %s", to)
	}
}

func TestExecKeyring(t *testing.T) {
	t.Parallel()
	for name, edits := range map[string][]harness.Edit{"usual": nil, "user namespace": {harness.UserNamespace(100000, 65536)}, "as a user": {harness.User(1000, 1000)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, append(edits, harness.Shell("/inside keyring; exec sleep 1000"))...)
			installInside(s)
			if s.Spec.Linux.UIDMappings != nil {
				if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
					t.Fatal(err)
				}
			}
			created := s.Create()
			created.Succeeds()
			s.Davit("start", s.ID).Succeeds()
			t.Cleanup(s.Delete)
			harness.Eventually(t, "the keyring's id", func() bool { return strings.HasSuffix(created.Stdout(), "\n") })
			if out := execute(s, "/inside keyring"); out != created.Stdout() || !strings.Contains(out, "_ses."+s.ID) {
				t.Errorf("the session keyring is %q, the container's %q", out, created.Stdout())
			}
		})
	}
	s := harness.New(t, harness.Args("/bin/sleep", "1000"))
	installInside(s)
	s.Create("--no-new-keyring").Succeeds()
	s.Davit("start", s.ID).Succeeds()
	if out := execute(s, "/inside keyring"); strings.Contains(out, "_ses."+s.ID) {
		t.Errorf("with --no-new-keyring the keyring is %q", out)
	}
	s.Delete()
}

// Signals that davit gets in the foreground are the process's.
func TestExecForwardsSignals(t *testing.T) {
	t.Parallel()
	s := running(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT, unix.SIGCONT, unix.SIGWINCH, unix.Signal(40)} {
		t.Run(fmt.Sprint(int(sig)), func(t *testing.T) {
			c := s.Command(execLine(s, fmt.Sprintf("trap 'echo got it; exit 9' %d; echo ready; while :; do sleep 0.01; done", sig))...)
			c.Begin()
			c.Written("ready")
			if err := unix.Kill(c.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
			if r := c.End(); r.Code != 9 || r.Stdout() != "ready\ngot it\n" {
				t.Errorf("exit code %d, output %q, %s", r.Code, r.Stdout(), r.Stderr())
			}
		})
	}
	// One that ends the process comes back as its exit code.
	c := s.Command("exec", s.ID, "/bin/sleep", "1000")
	c.Begin()
	harness.Eventually(t, "the process", func() bool { return execute(s, "ps -o args | grep -c '[s]leep 1000' || true") == "2\n" })
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := c.End(); r.Code != 128+15 {
		t.Errorf("exit code %d", r.Code)
	}
}
