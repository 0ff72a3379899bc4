package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

func TestUserAndGroups(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.InstallProbe()
	for _, c := range []struct {
		edit harness.Edit
		want string
	}{
		{harness.User(0, 0), "0 0 [] <nil>"},
		{harness.User(0, 0, 5, 6, 7), "0 0 [5 6 7] <nil>"},
		{harness.User(1000, 1000), "1000 1000 [] <nil>"},
		{harness.User(1000, 100, 20, 4294967294), "1000 100 [20 4294967294] <nil>"},
		{harness.User(4294967294, 4294967294), "4294967294 4294967294 [] <nil>"},
	} {
		if got := strings.TrimSpace(s.Output(c.edit, harness.Args("/probe", "groups"))); got != c.want {
			t.Errorf("uid, gid, groups are %q, want %q", got, c.want)
		}
	}
}

func TestUmask(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for _, mask := range []uint32{0, 0o22, 0o27, 0o777} {
		s.Spec.Process.User.Umask = &mask
		if got, want := s.Sh("umask"), fmt.Sprintf("%04o\n", mask); got != want {
			t.Errorf("the umask is %q, want %q", got, want)
		}
	}
	s.Spec.Process.User.Umask = nil
	s.Edit(harness.Shell("umask"))
	s.WriteConfig()
	s.Prefix = []string{"/bin/sh", "-c", `umask 026; exec "$@"`, "sh"}
	r := s.Davit("run", "--bundle", s.Bundle, s.ID)
	r.Succeeds()
	if r.Stdout() != "0026\n" {
		t.Errorf("without process.user.umask it is %q and not the caller's", r.Stdout())
	}
}

func TestHome(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo $HOME"))
	for _, c := range []struct {
		name, want string
		edit       harness.Edit
	}{
		{"root", "/root", harness.User(0, 0)},
		{"alice", "/home/alice", harness.User(1000, 1000)},
		{"a user that passwd doesn't have", "/", harness.User(4711, 0)},
		{"a value in process.env", "/given", harness.Env("HOME=/given")},
	} {
		s := harness.New(t, harness.Shell("echo $HOME"), c.edit)
		if got := s.Output(); got != c.want+"\n" {
			t.Errorf("%s: HOME is %q, want %s", c.name, got, c.want)
		}
	}
	if got := s.Output(harness.Env("HOME=")); got != "/root\n" {
		t.Errorf("an empty HOME became %q", got)
	}
	for name, passwd := range map[string]string{
		"none": "", "broken": "root\n:::\nroot:x:zero:0::/bad:/bin/sh\nroot:x:0:0:root:/late:/bin/sh\n", "huge": strings.Repeat("#", 1<<20),
	} {
		s := harness.New(t, harness.Shell("echo $HOME"))
		s.WriteFile("/etc/passwd", passwd, 0o644)
		want := "/\n"
		if name == "broken" {
			want = "/late\n"
		}
		if got := s.Output(); got != want {
			t.Errorf("with a passwd that is %s HOME is %q, want %q", name, got, want)
		}
	}
	// A FIFO in its place must not hold davit up.
	p := harness.New(t, harness.Shell("echo $HOME"))
	if err := os.Remove(p.Path("etc/passwd")); err != nil {
		t.Fatal(err)
	}
	harness.Tool(t, "mkfifo", p.Path("etc/passwd"))
	if got := p.Output(); got != "/\n" {
		t.Errorf("with a FIFO as passwd HOME is %q", got)
	}
}

func TestEnvironmentAndArguments(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Process.Env = []string{"PATH=/bin", "A=1", "EMPTY=", "SPACE=a b\nc", "HOME=/"}
	s.Spec.Process.Args = []string{"/bin/sh", "-c", `env -0 2>/dev/null || env; echo "$0|$1|$2"`, "zero", "", "two words"}
	out := s.Output()
	for _, want := range []string{"A=1", "EMPTY=", "SPACE=a b\nc", "HOME=/", "zero||two words"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
	if strings.Contains(out, "DAVIT") || strings.Contains(out, "LISTEN") {
		t.Errorf("there is more in the environment than the configuration says: %q", out)
	}
}

func TestPathSearch(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.WriteFile("/first/tool", "#!/bin/sh\necho first\n", 0o755)
	s.WriteFile("/second/tool", "#!/bin/sh\necho second\n", 0o755)
	s.WriteFile("/denied/tool", "#!/bin/sh\necho denied\n", 0o644)
	s.WriteFile("/job/tool", "#!/bin/sh\necho job\n", 0o755)
	if err := os.MkdirAll(s.Path("directory/tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{"/first:/second:/bin", "first"},
		{"/nowhere:/second:/first:/bin", "second"},
		{"/denied:/second:/bin", "second"},
		{"/directory:/second:/bin", "second"},
		{":/first", "job"},
		{"/nowhere::/first", "job"},
	} {
		s.Spec.Process.Env, s.Spec.Process.Cwd = []string{"PATH=" + c.path}, "/job"
		if got := s.Output(harness.Args("tool")); got != c.want+"\n" {
			t.Errorf("PATH=%s found %q, want %s", c.path, got, c.want)
		}
	}
	s.Spec.Process.Cwd = "/first"
	if got := s.Output(harness.Args("./tool")); got != "first\n" {
		t.Errorf("./tool is %q", got)
	}
}

func TestCwd(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Process.Cwd = "/home/alice"
	if got := s.Sh("pwd"); got != "/home/alice\n" {
		t.Errorf("the working directory is %q", got)
	}
	// Engines expect a missing one to be made.
	s.Spec.Process.Cwd = "/not/there/yet"
	if got := s.Sh("pwd"); got != "/not/there/yet\n" {
		t.Errorf("the working directory is %q", got)
	}
	// One that only the process's user may enter.
	if err := os.Mkdir(s.Path("private"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(s.Path("private"), 1000, 1000); err != nil {
		t.Fatal(err)
	}
	s.Spec.Process.Cwd = "/private"
	if got := s.Sh("pwd", harness.User(1000, 1000)); got != "/private\n" {
		t.Errorf("the working directory is %q", got)
	}
	// One that root of a user namespace may not.
	u := harness.New(t, harness.UserNamespace(100000, 65536))
	if err := os.Mkdir(u.Path("private"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(u.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	u.Spec.Process.Cwd = "/private"
	u.Run().Fails("process.cwd", "permission denied")
	s.Spec.Process.Cwd = "/etc/passwd"
	s.Run().Fails("process.cwd", "not a directory")
}

func TestRlimits(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Process.Rlimits = []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: 333, Hard: 444}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}, {Type: "RLIMIT_NPROC", Soft: 1000, Hard: 2000},
		{Type: "RLIMIT_CPU", Soft: 100, Hard: 200}, {Type: "RLIMIT_FSIZE", Soft: 1 << 33, Hard: 1 << 34}, {Type: "RLIMIT_DATA", Soft: 1 << 35, Hard: 1 << 36},
		{Type: "RLIMIT_STACK", Soft: 1 << 22, Hard: 1 << 23}, {Type: "RLIMIT_RSS", Soft: 1 << 37, Hard: 1 << 38}, {Type: "RLIMIT_AS", Soft: 1 << 39, Hard: 1 << 40},
		{Type: "RLIMIT_LOCKS", Soft: 11, Hard: 12}, {Type: "RLIMIT_SIGPENDING", Soft: 13, Hard: 14}, {Type: "RLIMIT_MSGQUEUE", Soft: 15, Hard: 16},
		{Type: "RLIMIT_NICE", Soft: 0, Hard: 0}, {Type: "RLIMIT_RTPRIO", Soft: 0, Hard: 0}, {Type: "RLIMIT_RTTIME", Soft: 17, Hard: 18},
		{Type: "RLIMIT_MEMLOCK", Soft: 4096, Hard: 8192},
	}
	got := make(map[string]string)
	for line := range strings.Lines(s.Output(harness.Args("/bin/cat", "/proc/self/limits"))) {
		if len(line) > 60 {
			f := strings.Fields(line[26:])
			got[strings.TrimSpace(line[:26])] = f[0] + " " + f[1]
		}
	}
	for name, want := range map[string]string{
		"Max open files": "333 444", "Max core file size": "0 0", "Max processes": "1000 2000", "Max cpu time": "100 200",
		"Max file size": "8589934592 17179869184", "Max data size": "34359738368 68719476736", "Max stack size": "4194304 8388608",
		"Max resident set": "137438953472 274877906944", "Max address space": "549755813888 1099511627776", "Max file locks": "11 12",
		"Max pending signals": "13 14", "Max msgqueue size": "15 16", "Max nice priority": "0 0", "Max realtime priority": "0 0",
		"Max realtime timeout": "17 18", "Max locked memory": "4096 8192",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// Without CAP_SYS_RESOURCE the kernel refuses: that is an error, not a limit left as it was.
func TestRlimitRefused(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 40, Hard: 1 << 40}}
	s.Run().Fails("process.rlimits[0]", "RLIMIT_NOFILE", "operation not permitted")
}

func TestNoNewPrivileges(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for _, on := range []bool{true, false} {
		s.Spec.Process.NoNewPrivileges = on
		want := "NoNewPrivs:\t0\n"
		if on {
			want = "NoNewPrivs:\t1\n"
		}
		if got := s.Sh("grep NoNewPrivs /proc/self/status"); got != want {
			t.Errorf("noNewPrivileges %t: %q", on, got)
		}
	}
}

func TestOOMScoreAdj(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("cat /proc/self/oom_score_adj"))
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Output(); got != string(own) {
		t.Errorf("unset, it is %q and the caller's %q (P10)", got, own)
	}
	for _, v := range []int{500, 1000} {
		s.Spec.Process.OOMScoreAdj = &v
		if got := s.Output(); got != fmt.Sprintln(v) {
			t.Errorf("oomScoreAdj %d: %q", v, got)
		}
	}
	// A user other than root, in a user namespace, too.
	s.Edit(harness.UserNamespace(100000, 65536), harness.User(1000, 1000))
	if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	if got := s.Output(); got != "1000\n" {
		t.Errorf("in a user namespace: %q", got)
	}
}

func TestSysctl(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Spec.Linux.Sysctl = map[string]string{
		"net.ipv4.ip_forward": "1", "net/ipv4/ip_unprivileged_port_start": "77", "kernel.shmmax": "1234567", "kernel.shmall": "4321",
		"kernel.shmmni": "99", "kernel.msgmax": "7777", "kernel.sem": "100\t200\t30\t40", "fs.mqueue.msg_max": "7", "fs.mqueue.queues_max": "55",
	}
	out := s.Sh(`cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/ip_unprivileged_port_start kernel/shmmax kernel/shmall kernel/shmmni kernel/msgmax kernel/sem fs/mqueue/msg_max fs/mqueue/queues_max`)
	if got := strings.Join(strings.Fields(out), " "); got != "1 77 1234567 4321 99 7777 100 200 30 40 7 55" {
		t.Errorf("the parameters are %s", got)
	}
	s.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "many"}
	s.Run().Fails(`linux.sysctl["net.ipv4.ip_forward"]`, "invalid argument")
	s.Spec.Linux.Sysctl = map[string]string{"net.no.such": "1"}
	s.Run().Fails(`linux.sysctl["net.no.such"]`, "no such file or directory")
	s.Spec.Linux.Sysctl = map[string]string{"kernel.shmmax": "1"}
	s.Run(harness.WithoutNamespace(specs.IPCNamespace)).Fails(`linux.sysctl["kernel.shmmax"]`)
}

func TestPersonality(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.InstallProbe()
	for domain, want := range map[specs.LinuxPersonalityDomain]string{specs.PerLinux: "personality=0x0", specs.PerLinux32: "personality=0x8"} {
		s.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: domain}
		if out := s.Output(harness.Args("/probe", "attributes")); !strings.Contains(out, want+"\n") {
			t.Errorf("%s: %s", domain, out)
		}
	}
}

func TestSchedulerAndIOPriority(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/probe", "attributes"))
	s.InstallProbe()
	for _, c := range []struct {
		sched *specs.Scheduler
		io    *specs.LinuxIOPriority
		want  []string
	}{
		{nil, nil, []string{"policy=0 nice=0", "ioprio=0/"}},
		{&specs.Scheduler{Policy: specs.SchedBatch}, nil, []string{"policy=3 nice=0"}},
		{&specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}, nil, []string{"policy=3 nice=5"}},
		{&specs.Scheduler{Policy: specs.SchedIdle}, nil, []string{"policy=5"}},
		{&specs.Scheduler{Policy: specs.SchedOther, Nice: 19}, nil, []string{"policy=0 nice=19"}},
		{&specs.Scheduler{Policy: specs.SchedOther, Nice: 3, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}, nil, []string{"policy=0 nice=3", "flags=0x1"}},
		{nil, &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}, []string{"ioprio=2/6"}},
		{nil, &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 0}, []string{"ioprio=3/0"}},
	} {
		s.Spec.Process.Scheduler, s.Spec.Process.IOPriority = c.sched, c.io
		out := s.Output()
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%+v %+v: %q is missing in\n%s", c.sched, c.io, w, out)
			}
		}
	}
}

// The container's process leads a session and has no key of the caller's.
func TestSessionAndKeyring(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/probe", "keyring"))
	s.InstallProbe()
	if out := s.Output(); !strings.Contains(out, "_ses."+s.ID) {
		t.Errorf("the session keyring is %q", out)
	}
	s.WriteConfig()
	r := s.Davit("run", "--no-new-keyring", "--bundle", s.Bundle, s.ID)
	r.Succeeds()
	if strings.Contains(r.Stdout(), "_ses."+s.ID) {
		t.Errorf("with --no-new-keyring the session keyring is %q", r.Stdout())
	}
	if out := s.Sh("cut -d' ' -f1,5,6 /proc/1/stat"); out != "1 1 1\n" {
		t.Errorf("pid, process group and session are %q", out)
	}
	// What the caller blocks or ignores is not inherited.
	s.Prefix = []string{"/bin/sh", "-c", `trap '' HUP INT USR1 PIPE; exec "$@"`, "sh"}
	s.Edit(harness.Args("/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"))
	s.WriteConfig()
	r = s.Davit("run", "--bundle", s.Bundle, s.ID)
	r.Succeeds()
	if strings.Join(strings.Fields(r.Stdout()), " ") != "SigBlk: 0000000000000000 SigIgn: 0000000000000000" {
		t.Errorf("signals are %q", r.Stdout())
	}
}
