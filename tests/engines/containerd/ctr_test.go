package containerd

import (
	"fmt"
	"strings"
	"testing"

	"davit/tests/engines/kubelet"
	"davit/tests/engines/lab"
)

// size prints a terminal's size as soon as ctr has set it, which it does once the process runs.
const size = "until stty size 2>/dev/null | grep -v '^0 0'; do sleep 0.02; done"

const image = kubelet.Image

func TestCtr(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) {
			e, _ := start(t, debian, cgroups, func(*lab.Cell, release) string { return "" })
			e.Name += ", ctr"
			e.Must("ctr", "-n", e.Mark, "image", "import", "--no-unpack=false", e.Image(image, "sh"))
			e.Scenarios(t, ctrScenarios)
			t.Run("how long", func(t *testing.T) { measureCtr(t, e) })
		})
	}
}

// ctr is a scenario that uses ctr.
type ctr struct{ *lab.S }

func with(f func(ctr)) func(*lab.S) { return func(s *lab.S) { f(ctr{s}) } }

func (c ctr) cmd(args ...string) []string { return append([]string{"ctr", "-n", c.Mark}, args...) }

// run makes a command line of ctr run, with flags that end with "--" before the command.
func (c ctr) run(args ...string) []string { return c.runWith(c.Binary(), args...) }

// runWith is run with another program for a runtime.
func (c ctr) runWith(runtime string, args ...string) []string {
	flags, command := split(args)
	line := c.cmd("run", "--runc-binary", runtime)
	if c.Cgroups == lab.V2 && !c.Has("cpu") {
		line = append(line, "--cpu-shares", "0") // its default is 1024
	}
	line = append(line, flags...)
	return append(append(line, image, c.ID), command...)
}

func split(args []string) (flags, rest []string) {
	for i, a := range args {
		if a == "--" {
			return args[:i], args[i+1:]
		}
	}
	return nil, args
}

// detached starts a container that lives until the scenario's end, and returns its pid in the cell.
func (c ctr) detached(args ...string) string {
	flags, command := split(args)
	if len(command) == 0 {
		command = []string{"sleep", "1000"}
	}
	c.Cleanup(func() {
		c.Run(c.cmd("task", "rm", "-f", c.ID)...)
		c.Must(c.cmd("container", "rm", c.ID)...)
	})
	c.Must(c.run(append(append([]string{"-d"}, flags...), append([]string{"--"}, command...)...)...)...)
	return c.task("PID")
}

// task is a column of the container's line in the list of tasks.
func (c ctr) task(column string) string {
	lines := strings.Split(c.Must(c.cmd("task", "ls")...), "\n")
	for i, head := range strings.Fields(lines[0]) {
		for _, l := range lines[1:] {
			if f := strings.Fields(l); head == column && f[0] == c.ID {
				return f[i]
			}
		}
	}
	return ""
}

func (c ctr) exec(args ...string) []string {
	flags, command := split(args)
	line := append(c.cmd("task", "exec", "--exec-id", fmt.Sprintf("e%d", len(c.Calls()))), flags...)
	return append(append(line, c.ID), command...)
}

var ctrScenarios = []lab.Scenario{
	{Name: "run", Run: with(func(c ctr) {
		out := c.Must(c.run("--rm", "--env", "GREETING=hello", "--cwd", "/tmp", "--", "sh", "-c", "echo $GREETING; pwd; id -u; echo $$")...)
		c.Equal("output", out, "hello\n/tmp\n0\n1")
	})},
	{Name: "exit codes", Run: with(func(c ctr) {
		c.Want(0, c.run("--rm", "--", "true")...)
		c.Want(7, c.run("--rm", "--", "sh", "-c", "exit 7")...)
		c.Want(137, c.run("--rm", "--", "sh", "-c", "kill -9 $$; sleep 9 & kill -9 -1; exit 137")...)
		out := c.Want(1, c.run("--rm", "--", "no-such-program")...)
		c.Contains("error", out.Stderr, "no-such-program", "executable file not found in $PATH")
		out = c.Want(1, c.run("--rm", "--", "/etc/passwd")...)
		c.Contains("error", out.Stderr, "permission denied")
	})},
	{Name: "run with a terminal", Run: with(func(c ctr) {
		term := c.Terminal(33, 77, c.run("--rm", "-t", "--", "sh", "-c", "tty; read x; "+size+"; echo got $x; exit 5")...)
		c.Eventually("the terminal's name", func() bool { return strings.Contains(term.Output(), "/dev/") })
		term.Type("words\n")
		c.Equal("exit status", term.Wait(), 5)
		c.Contains("output", term.Output(), "/dev/pts/0", "33 77", "got words")
	})},
	{Name: "detached", Run: with(func(c ctr) {
		log := c.Path(c.ID + ".log")
		c.detached("--log-uri", "file://"+log, "--", "sh", "-c", "echo from the container; sleep 1000")
		c.Equal("status", c.task("STATUS"), "RUNNING")
		c.Eventually("the log", func() bool { return strings.Contains(c.Run("cat", log).Stdout, "from the container") })
	})},
	{Name: "exec", Run: with(func(c ctr) {
		c.detached()
		c.Equal("output", c.Must(c.exec("--cwd", "/tmp", "--", "sh", "-c", "pwd; cat /proc/1/comm")...), "/tmp\nsleep")
		c.Want(9, c.exec("sh", "-c", "exit 9")...)
		out := c.Want(1, c.exec("no-such-program")...)
		c.Contains("error", out.Stderr, "no-such-program", "executable file not found in $PATH")
		in := c.RunWith(strings.NewReader("through a pipe"), c.exec("cat")...)
		c.Equal("output", in.Stdout, "through a pipe")
	})},
	{Name: "exec as a user", Run: with(func(c ctr) {
		c.detached()
		c.Equal("ids", c.Must(c.exec("--user", "1000:50", "--", "sh", "-c", "id -u; id -g")...), "1000\n50")
	})},
	{Name: "exec with a terminal", Run: with(func(c ctr) {
		c.detached()
		term := c.Terminal(30, 90, c.exec("-t", "--", "sh", "-c", "tty; read x; "+size+"; echo got $x; exit 6")...)
		c.Eventually("the terminal's name", func() bool { return strings.Contains(term.Output(), "/dev/") })
		term.Type("words\n")
		c.Equal("exit status", term.Wait(), 6)
		c.Contains("output", term.Output(), "/dev/pts/0", "30 90", "got words")
	})},
	{Name: "pause and resume", Run: with(func(c ctr) {
		pid := c.detached("--", "sh", "-c", "while :; do echo x >>/tmp/ticks; sleep 0.02; done")
		ticks := func() string { return c.Must("cat", "/proc/"+pid+"/root/tmp/ticks") }
		c.Eventually("ticks", func() bool { return c.Run("test", "-e", "/proc/"+pid+"/root/tmp/ticks").Code == 0 })
		c.Must(c.cmd("task", "pause", c.ID)...)
		c.Equal("status", c.task("STATUS"), "PAUSED")
		before := ticks()
		c.Must("sleep", "0.3")
		c.Equal("ticks while paused", len(ticks()), len(before))
		c.Must(c.cmd("task", "resume", c.ID)...)
		c.Equal("status", c.task("STATUS"), "RUNNING")
		c.Eventually("it goes on", func() bool { return len(ticks()) > len(before) })
	})},
	{Name: "ps", Run: with(func(c ctr) {
		pid := c.detached("--", "sh", "-c", "sleep 999 & wait")
		c.Eventually("two processes", func() bool {
			return len(strings.Split(c.Must(c.cmd("task", "ps", c.ID)...), "\n")) == 3
		})
		c.Contains("list", c.Must(c.cmd("task", "ps", c.ID)...), pid)
	})},
	{Name: "metrics", Run: with(func(c ctr) {
		c.Needs("memory")
		c.detached()
		c.Contains("metrics", c.Must(c.cmd("task", "metrics", c.ID)...), "memory.usage_in_bytes", "cpuacct.usage", "pids.current")
	})},
	{Name: "kill", Run: with(func(c ctr) {
		c.detached("--", "sh", "-c", `trap "exit 42" USR1; touch /tmp/ready; while :; do sleep 0.02; done`)
		c.Eventually("the trap", func() bool { return c.Run(c.exec("test", "-e", "/tmp/ready")...).Code == 0 })
		c.Must(c.cmd("task", "kill", "-s", "SIGUSR1", c.ID)...)
		c.Eventually("the end", func() bool { return c.task("STATUS") == "STOPPED" })
		c.Contains("what rm says", c.Run(c.cmd("task", "rm", c.ID)...).Stderr, "exit code 42")
	})},
	{Name: "kill all", Run: with(func(c ctr) {
		c.detached("--", "sh", "-c", "sleep 999 & sleep 999 & sleep 1000")
		c.Must(c.cmd("task", "kill", "-a", "-s", "SIGKILL", c.ID)...)
		c.Eventually("the end", func() bool { return c.task("STATUS") == "STOPPED" })
	})},
	{Name: "memory limit", Run: with(func(c ctr) {
		c.Needs("memory")
		pid := c.detached("--memory-limit", "16777216", "--", "sleep", "1000")
		c.Equal("limit", c.Limit(pid, lab.MemoryLimit), 16777216)
		// What needs more is killed, and only that.
		c.Want(137, c.exec("sh", "-c", "head -c 64m /dev/zero | tail -c 64m >/dev/null; exit $?")...)
		c.Equal("status", c.task("STATUS"), "RUNNING")
	})},
	{Name: "cpu limit", Run: with(func(c ctr) {
		c.Needs("cpu")
		pid := c.detached("--cpus", "0.5", "--cpu-shares", "512", "--", "sleep", "1000")
		c.Equal("quota", strings.Fields(c.Limit(pid, lab.CPUQuota))[0], 50000)
		if c.Cgroups != lab.V2 {
			c.Equal("shares", c.Limit(pid, lab.CPUShares), 512)
		}
	})},
	{Name: "limit without its controller is refused", Run: with(func(c ctr) {
		if c.Has("memory") {
			c.Skipf("these cgroups have a memory controller")
		}
		out := c.Want(1, c.run("--rm", "--memory-limit", "16777216", "--", "true")...)
		c.Contains("error", out.Stderr, "memory")
	})},
	{Name: "user namespace", Run: with(func(c ctr) {
		// ctr 1.6 forgets --runc-binary here: what's called runc in containerd's PATH is davit.
		out := c.Must(c.run("--rm", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--", "sh", "-c", "cat /proc/self/uid_map; id -u; touch /tmp/x && stat -c %u /tmp/x")...)
		c.Equal("output", strings.Fields(out), []string{"0", "100000", "65536", "0", "0"})
	})},
	{Name: "no pivot", Run: with(func(c ctr) {
		out := c.Must(c.run("--rm", "--no-pivot", "--", "sh", "-c", "echo inside; ls /home")...)
		c.Equal("output", out, "inside\nalice")
	})},
	{Name: "read-only rootfs and mounts", Run: with(func(c ctr) {
		c.Write(c.ID+"/file", "of the host", 0o644)
		out := c.Must(c.run("--rm", "--read-only", "--mount", "type=bind,src="+c.Path(c.ID)+",dst=/mnt,options=rbind:ro",
			"--", "sh", "-c", "cat /mnt/file; touch /x 2>&1; touch /mnt/x 2>&1; true")...)
		c.Contains("output", out, "of the host", "touch: /x: Read-only file system", "touch: /mnt/x: Read-only file system")
	})},
	{Name: "capabilities and seccomp", Run: with(func(c ctr) {
		out := c.Must(c.run("--rm", "--cap-drop", "CAP_CHOWN", "--seccomp", "--", "grep", "-E", "CapEff|Seccomp:|NoNewPrivs", "/proc/self/status")...)
		c.Equal("status", strings.Fields(out), []string{"CapEff:", "00000000a80425fa", "NoNewPrivs:", "1", "Seccomp:", "2"})
	})},
	{Name: "host network and a joined namespace", Run: with(func(c ctr) {
		host := c.Must("readlink", "/proc/self/ns/net")
		c.Equal("network namespace", c.Must(c.run("--rm", "--net-host", "--", "readlink", "/proc/self/ns/net")...), host)
		c.Equal("network namespace", c.Must(c.run("--rm", "--with-ns", "network:/proc/1/ns/net", "--", "readlink", "/proc/self/ns/net")...), host)
	})},
	{Name: "device", Run: with(func(c ctr) {
		out := c.Must(c.run("--rm", "--device", "/dev/loop-control", "--", "sh", "-c", "stat -c '%F %t:%T' /dev/loop-control; head -c 4 /dev/zero | wc -c")...)
		c.Equal("output", out, "character special file a:ed\n4")
	})},
	{Name: "privileged", Excuse: lab.NoResource, Run: with(func(c ctr) {
		out := c.Must(c.run("--rm", "--privileged", "--", "grep", "CapEff", "/proc/self/status")...)
		c.Contains("capabilities", out, "000001ffffffffff")
	})},
	{Name: "a rootfs from outside", Run: with(func(c ctr) {
		root := c.Path(c.ID, "rootfs")
		c.Must("mkdir", "-p", root)
		c.Must("tar", "-xf", c.Rootfs(), "-C", root)
		line := c.cmd("run", "--runc-binary", c.Binary(), "--rm", "--rootfs")
		if !c.Has("cpu") {
			line = append(line, "--cpu-shares", "0")
		}
		c.Equal("output", c.Must(append(line, root, c.ID, "echo", "yes")...), "yes")
	})},
}

func measureCtr(t *testing.T, e *lab.Engine) {
	n := 0
	e.Measure(t, "ctr run --rm IMAGE /bin/true", func(runtime string) error {
		n++
		c := ctr{&lab.S{Engine: e, Runtime: runtime, ID: fmt.Sprintf("m%d", n)}}
		if out := c.Run(c.runWith(e.Direct(runtime), "--rm", "--", "/bin/true")...); out.Code != 0 {
			c.Run(c.cmd("container", "rm", c.ID)...) // ctr leaves what it couldn't start
			return fmt.Errorf("%v", out)
		}
		return nil
	})
}
