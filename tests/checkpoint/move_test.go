package checkpoint

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// A container is stopped, is gone, and goes on: with its pid, its memory, its files and its limits.
func TestMove(t *testing.T) {
	needCRIU(t)
	c := newCounting(t, harness.Env("MOVED=yes"), func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(77))}}
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 333, Hard: 444}}
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mknod"}, Action: specs.ActErrno}}}
	}, harness.Mount(specs.Mount{Destination: "/ro", Type: "bind", Source: "/usr", Options: []string{"rbind", "ro", "nosuid", "nodev", "noexec"}}))
	log := filepath.Join(c.Dir, "hooks")
	hook := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + name + " >>" + log}}}
	}
	c.Edit(func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: hook("createRuntime"), Poststart: hook("poststart"), Poststop: hook("poststop")}
	})
	c.start()
	mounts, confinement := c.mounts(), c.confinement()
	c.checkpoint().Succeeds()
	at := c.number()
	c.Davit("state", c.ID).Fails("container does not exist")
	if _, err := os.Stat("/sys/fs/cgroup/" + c.ID); err == nil {
		t.Error("the container's cgroup is still there")
	}
	inner := c.read("pid")
	pidFile := filepath.Join(c.Dir, "pid")
	c.restore(c.ID, "--pid-file", pidFile).Succeeds()
	c.goesOn(at)

	if now := c.mounts(); now != mounts {
		t.Errorf("the mounts were\n%sand are\n%s", mounts, now)
	}
	if now := c.confinement(); now != confinement {
		t.Errorf("the confinement was\n%sand is\n%s", confinement, now)
	}
	pid := strconv.Itoa(c.PID())
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != pid {
		t.Errorf("the pid file has %q, %v; the process is %s", text, err, pid)
	}
	status, _ := os.ReadFile("/proc/" + pid + "/status")
	if !strings.Contains(string(status), "\nNSpid:\t"+pid+"\t"+inner+"\n") {
		t.Errorf("the process isn't %s in the container:\n%s", inner, status)
	}
	r := c.Davit("exec", c.ID, "/bin/sh", "-c", "cat /tmp2/file; tr '\\0' '\\n' </proc/1/environ | grep MOVED; hostname; cat /proc/1/cgroup; readlink /proc/1/root; wc -c <$(echo /proc/keys)")
	r.Succeeds()
	if want := "kept\nMOVED=yes\ndavit\n0::/\n/\n0\n"; r.Stdout() != want {
		t.Errorf("in the restored container there is\n%swant\n%s", r.Stdout(), want)
	}
	if limit, _ := os.ReadFile("/sys/fs/cgroup/" + c.ID + "/pids.max"); string(limit) != "77\n" {
		t.Errorf("pids.max is %q", limit)
	}
	c.Delete()
	ran, _ := os.ReadFile(log)
	if want := "createRuntime\npoststart\npoststop\ncreateRuntime\npoststart\npoststop\n"; string(ran) != want {
		t.Errorf("the hooks that ran were\n%swant\n%s", ran, want)
	}
}

// A checkpoint of a running container is a template for others, which have cgroups of their own.
func TestLeaveRunningAndAnotherID(t *testing.T) {
	needCRIU(t)
	c := newCounting(t)
	c.start()
	c.checkpoint("--leave-running", "--leave-running").Succeeds() // as Podman has it
	at := c.number()
	c.goesOn(at)
	c.Delete()
	other := c.ID + "-other"
	defer c.Davit("delete", "--force", other)
	cgroup := "/" + other
	c.Edit(func(s *specs.Spec) { s.Linux.CgroupsPath = cgroup })
	c.WriteConfig()
	c.restore(other).Succeeds()
	c.goesOn(0)
	r := c.Davit("state", other)
	r.Succeeds()
	_, rest, _ := strings.Cut(r.Stdout(), `"pid": `)
	pid, _, _ := strings.Cut(rest, ",")
	if in, _ := os.ReadFile("/proc/" + pid + "/cgroup"); string(in) != "0::"+cgroup+"\n" {
		t.Errorf("the process is in cgroup %q, not %s", in, cgroup)
	}
}

func TestPaused(t *testing.T) {
	needCRIU(t)
	c := newCounting(t)
	c.start()
	c.Davit("pause", c.ID).Succeeds()
	at := c.number()
	c.checkpoint("--leave-running").Succeeds()
	if st := c.State().Status; st != "paused" {
		t.Errorf("it was paused and is %s", st)
	}
	if n := c.number(); n != at {
		t.Errorf("the paused container counted from %d to %d", at, n)
	}
	c.Davit("resume", c.ID).Succeeds()
	c.goesOn(at)
	c.Delete()
	c.restore(c.ID).Succeeds()
	if st := c.State().Status; st != specs.StateRunning {
		t.Errorf("restored, it is %s", st)
	}
	c.goesOn(at)
}

// What a pre-dump wrote the dump doesn't write again.
func TestPreDump(t *testing.T) {
	needCRIU(t)
	c := newCounting(t)
	c.start()
	final := c.images
	c.images = filepath.Join(c.Dir, "before")
	pre := c.checkpoint("--pre-dump")
	if pre.Code != 0 && strings.Contains(pre.Stderr(), "CONFIG_MEM_SOFT_DIRTY") {
		t.Skip("this kernel doesn't tell which pages have changed")
	}
	pre.Succeeds()
	at := c.number()
	c.goesOn(at)
	c.images = final
	c.checkpoint("--parent-path", "../before").Succeeds()
	if to, err := os.Readlink(filepath.Join(final, "parent")); err != nil || to != "../before" {
		t.Errorf("the images' parent is %q, %v", to, err)
	}
	c.restore(c.ID).Succeeds()
	c.goesOn(at)
}

// In the foreground the restored process's output is davit's, and so is its end.
func TestForeground(t *testing.T) {
	needCRIU(t)
	c := newCounting(t, harness.Shell("trap 'echo bye; exit 7' TERM; "+strings.Replace(count, "sleep", "echo line; sleep", 1)))
	c.WriteConfig()
	// Pipes, as engines have them.
	first := c.Command("run", "--bundle", c.Bundle, c.ID)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	first.Stdout = writer
	first.Begin()
	writer.Close()
	go drain(reader)
	c.counts()
	c.checkpoint().Succeeds()
	if r := first.End(); r.Code != 128+9 {
		t.Errorf("the container that was moved away ended with %d", r.Code)
	}
	at := c.number()

	reader, writer, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	second := c.Command("restore", "--image-path", c.images, "--bundle", c.Bundle, c.ID)
	second.Stdout = writer
	second.Begin()
	writer.Close()
	c.goesOn(at)
	c.Davit("kill", c.ID, "TERM").Succeeds()
	text := drain(reader)
	if r := second.End(); r.Code != 7 {
		t.Errorf("exit code %d\n%s", r.Code, r.Stderr())
	}
	if !strings.HasPrefix(text, "line\n") || !strings.HasSuffix(text, "line\nbye\n") {
		t.Errorf("the restored process wrote %q", text)
	}
	c.Davit("state", c.ID).Fails("container does not exist")
}

func drain(f *os.File) string {
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := f.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

// A terminal goes along with what it is set to.
func TestTerminal(t *testing.T) {
	needCRIU(t)
	c := newCounting(t, func(s *specs.Spec) { s.Process.Terminal = true },
		harness.Shell("stty -echo; n=0; while read x; do n=$((n+1)); echo $n $x $(tty) $(stat -c %t /dev/console); done"))
	socket := filepath.Join(c.Dir, "c")
	accept := harness.ConsoleSocket(t, socket)
	c.Create("--console-socket", socket).Succeeds()
	term := accept()
	c.Davit("start", c.ID).Succeeds()
	term.Type("one\n")
	term.Expect("1 one /dev/pts/0 88")
	c.checkpoint().Succeeds()
	c.restore(c.ID, "--console-socket", socket).Succeeds()
	term = accept()
	term.Type("two\n")
	term.Expect("2 two /dev/pts/0 88")
	if text := term.Text(); strings.Contains(text, "two\r\n2") {
		t.Errorf("the terminal echoes again: %q", text)
	}
}

// File locks go along if that is asked for, and are a reason to refuse if it isn't.
func TestLocks(t *testing.T) {
	needCRIU(t)
	c := newCounting(t, harness.Shell("/probe lock /tmp2/lock keep >/dev/null & "+count))
	c.InstallProbe()
	c.start()
	// A dump that failed leaves the container as it was.
	c.checkpoint().Fails("davit checkpoint failed: criu could not dump the processes", "dump.log")
	if st := c.State().Status; st != specs.StateRunning {
		t.Errorf("after a failed checkpoint it is %s", st)
	}
	c.goesOn(c.number())
	c.checkpoint("--file-locks").Succeeds()
	at := c.number()
	c.restore(c.ID, "--file-locks").Succeeds()
	c.goesOn(at)
	r := c.Davit("exec", c.ID, "/probe", "lock", "/tmp2/lock")
	if r.Stdout() != "EAGAIN\n" {
		t.Errorf("taking the lock that the container had: %q%s", r.Stdout(), r.Stderr())
	}
}

// Nothing is left of a restore that fails, whenever that is.
func TestFailedRestore(t *testing.T) {
	needCRIU(t)
	c := newCounting(t)
	c.start()
	c.checkpoint().Succeeds()
	if err := os.Rename(c.data, c.data+".away"); err != nil {
		t.Fatal(err)
	}
	c.restore(c.ID).Fails("mounts[7] (/data)", "no such file")
	if err := os.Rename(c.data+".away", c.data); err != nil {
		t.Fatal(err)
	}
	c.CheckHost()
	pages := filepath.Join(c.images, "pages-1.img")
	if err := os.Rename(pages, pages+".away"); err != nil {
		t.Fatal(err)
	}
	c.restore(c.ID).Fails("criu could not restore the processes: ", "restore.log")
	c.Davit("state", c.ID).Fails("container does not exist")
	c.CheckHost()
	if err := os.Rename(pages+".away", pages); err != nil {
		t.Fatal(err)
	}
	c.restore(c.ID).Succeeds()
	c.goesOn(1)
}

// A network namespace that an engine made is the engine's: the restored container joins it.
func TestJoinedNetwork(t *testing.T) {
	needCRIU(t)
	harness.NeedTool(t, "ip", "iproute2")
	name := harness.TestDevice + strconv.Itoa(os.Getpid())
	harness.Tool(t, "ip", "netns", "add", name)
	t.Cleanup(func() { harness.Tool(t, "ip", "netns", "delete", name) })
	c := newCounting(t, harness.Namespace(specs.NetworkNamespace, "/run/netns/"+name))
	c.start()
	c.checkpoint().Succeeds()
	at := c.number()
	c.restore(c.ID).Succeeds()
	c.goesOn(at)
	inside, _ := os.Stat("/proc/" + strconv.Itoa(c.PID()) + "/ns/net")
	outside, _ := os.Stat("/run/netns/" + name)
	if !os.SameFile(inside, outside) {
		t.Error("the restored process is in another network namespace")
	}
}
