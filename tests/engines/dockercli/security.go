package dockercli

import (
	"fmt"
	"strings"

	"davit/tests/engines/lab"
)

// Capabilities by number: capabilities(7).
const (
	netBindService = 1 << 10
	sysAdmin       = 1 << 21
	sysTime        = 1 << 25
)

func capEff(set uint64) string { return fmt.Sprintf("CapEff:\t%016x", set) }

var securityScenarios = []Scenario{
	{Name: "--cap-add --cap-drop", Run: func(c C) {
		show := []string{"--", "grep", "CapEff", "/proc/self/status"}
		with := func(flags ...string) string { return c.Out(append(flags, show...)...) }
		c.Equal("by default", with(), capEff(c.Capabilities))
		c.Equal("only one", with("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"), capEff(netBindService))
		c.Equal("two more", with("--cap-add", "SYS_ADMIN", "--cap-add", "SYS_TIME"), capEff(c.Capabilities|sysAdmin|sysTime))
	}},
	{Name: "--privileged", Excuse: lab.NoResource, Run: func(c C) {
		c.Contains("capabilities", c.Out("--privileged", "--", "grep", "CapEff", "/proc/self/status"), "000001ffffffffff")
	}},
	{Name: "--security-opt no-new-privileges", Run: func(c C) {
		c.Contains("status", c.Out("--security-opt", "no-new-privileges", "--", "grep", "NoNewPrivs", "/proc/self/status"), "\t1")
		c.Contains("status", c.Out("grep", "NoNewPrivs", "/proc/self/status"), "\t0")
	}},
	{Name: "--security-opt seccomp", Run: func(c C) {
		// The engines' own filters refuse syslog(2) without CAP_SYSLOG, which the kernel does only where it is told to.
		probe := []string{"sh", "-c", "grep Seccomp: /proc/self/status; dmesg >/dev/null 2>&1 && echo free; true"}
		restricted := c.Must("cat", "/proc/sys/kernel/dmesg_restrict") != "0"
		filtered, free := c.Out(probe...), c.Out(append([]string{"--security-opt", "seccomp=unconfined", "--"}, probe...)...)
		c.Equal("by default", filtered, "Seccomp:\t2")
		c.Contains("unconfined", free, "Seccomp:\t0")
		c.Equal("syslog(2), unconfined", strings.Contains(free, "free"), !restricted)
		profile := c.Write("tmp/"+c.ID+".json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}`, 0o644)
		c.Contains("a profile", c.Out("--security-opt", "seccomp="+profile, "--", "sh", "-c", "mkdir /tmp/x 2>&1; true"), "Operation not supported")
	}},
	{Name: "default masks", Run: func(c C) {
		out := c.Out("sh", "-c", "cat /proc/keys | wc -c; (echo x >/proc/sys/kernel/msgmax) 2>&1; ls /sys/firmware | wc -l; (echo x >/sys/kernel/profiling) 2>&1; true")
		c.Equal("/proc/keys", strings.Split(out, "\n")[0], "0")
		c.Contains("output", out, "/proc/sys/kernel/msgmax: Read-only file system", "/sys/kernel/profiling: Read-only file system")
	}},
	{Name: "--security-opt, no masks", Run: func(c C) {
		masked := []string{"sh", "-c", "mount | grep -c ' on /proc/'; true"}
		if c.Out(masked...) == "0" {
			c.Fatalf("nothing is masked by default")
		}
		c.Equal("masks", c.Out(append([]string{"--security-opt", c.Unmask, "--"}, masked...)...), "0")
	}},
	{Name: "--user --group-add", Run: func(c C) {
		c.Equal("a name", c.Out("--user", "alice", "--", "sh", "-c", "id -un; id -G; echo $HOME"), "alice\n1000 50\n/home/alice")
		c.Equal("ids", c.Out("--user", "1234:4321", "--group-add", "77", "--", "sh", "-c", "id -u; id -G"), "1234\n4321 77")
	}},
	{Name: "--sysctl", Run: func(c C) {
		out := c.Out("--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--sysctl", "kernel.msgmax=9000", "--", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/msgmax")
		c.Equal("values", out, "80\n9000")
	}},
	{Name: "--device", Run: func(c C) {
		if c.Rootless { // the host's node is bound, with its owner
			c.Equal("node", c.Out("--device", "/dev/zero:/dev/mine", "--", "sh", "-c", "stat -c '%t:%T' /dev/mine; head -c 1 /dev/mine | wc -c"), "1:5\n1")
			return
		}
		out := c.Out("--device", "/dev/loop-control:/dev/mine:r", "--", "sh", "-c", "stat -c '%t:%T' /dev/mine; exec 3</dev/mine && echo readable; (exec 3>/dev/mine) 2>&1; true")
		c.Contains("output", out, "a:ed", "readable", "Operation not permitted")
	}},
	{Name: "--device-cgroup-rule", Run: func(c C) {
		if c.Rootless {
			c.Skipf("ordinary users make no device nodes")
		}
		open := []string{"--cap-add", "MKNOD", "--", "sh", "-c", "(mknod /tmp/control c 10 237 && exec 3</tmp/control && echo open) 2>&1; true"}
		c.Contains("without", c.Out(open...), "Operation not permitted")
		c.Contains("with", c.Out(append([]string{"--device-cgroup-rule", "c 10:237 rwm"}, open...)...), "open")
	}},
}
