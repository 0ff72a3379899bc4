package podman

import (
	"strings"

	"davit/tests/engines/containers"
	"davit/tests/engines/dockercli"
)

// withFile executes a command with a file open as descriptor 3.
func withFile(file string, command []string) []string {
	return append([]string{"sh", "-c", `exec 3<"$0"; exec "$@"`, file}, command...)
}

// readThird reads descriptor 3, which has to be the last one.
const readThird = "cat <&3; [ ! -e /proc/self/fd/4 ] && echo :alone"

// Podman's own flags.
var containerScenarios = []dockercli.Scenario{
	{Name: "run --preserve-fds", Run: func(c dockercli.C) {
		file := c.Write(c.ID+"/file", "by descriptor", 0o644)
		line := c.RunLine("--rm", "--preserve-fds", "1", "--", "sh", "-c", readThird)
		c.Equal("output", c.Must(withFile(file, line)...), "by descriptor:alone")
	}},
	{Name: "exec --preserve-fds", Run: func(c dockercli.C) {
		c.Start()
		file := c.Write(c.ID+"/file", "by descriptor", 0o644)
		line := c.ExecLine("--preserve-fds", "1", "--", "sh", "-c", readThird)
		c.Equal("output", c.Must(withFile(file, line)...), "by descriptor:alone")
	}},
	{Name: "run --rootfs", Run: func(c dockercli.C) {
		dir := c.Path("tmp", c.ID+"-rootfs")
		c.Must("sh", "-e", "-c", "mkdir "+dir+"; tar -C "+dir+" -xf "+c.Rootfs())
		if c.Rootless {
			c.Must("chown", "-R", containers.UserID+":"+containers.UserID, dir)
		}
		c.Equal("output", c.Out("--rootfs", dir, "--", "/bin/sh", "-c", "echo here >/made; id -u"), "0")
		c.Equal("content", c.Must("cat", dir+"/made"), "here")
	}},
	{Name: "--cgroups disabled", Run: func(c dockercli.C) {
		before := len(c.Calls())
		c.Start("--cgroups", "disabled", "--cgroupns", "host")
		if id := c.Inspect("{{.Id}}"); strings.Contains(c.Exec("cat", "/proc/1/cgroup"), id) {
			c.Fatalf("the container has a cgroup")
		}
		c.Contains("calls", strings.Join(c.Calls()[before:], "\n"), "--cgroup-manager disabled create ")
		c.Contains("mounts", c.Exec("grep", " /sys/fs/cgroup", "/proc/mounts"), " ro,")
		c.Do("stop", "-t", "0", c.ID)
		c.Equal("status", c.Status(), "exited")
	}},
	{Name: "--cgroups disabled, with a limit", Run: func(c dockercli.C) {
		c.NeedsCgroups() // without, Podman leaves limits out by itself
		c.Contains("error", c.End(126, "--cgroups", "disabled", "--cpu-shares", "512", "--", "true").Stderr, "linux.resources.cpu.shares", "the container has no cgroup")
	}},
	{Name: "--cgroups no-conmon", Run: func(c dockercli.C) {
		c.Start("--cgroups", "no-conmon", "--cgroupns", "host")
		id := c.Inspect("{{.Id}}")
		c.Equal("it has a cgroup", strings.Contains(c.Exec("cat", "/proc/1/cgroup"), id), c.Uncaged == "")
	}},
	{Name: "--tmpfs copies up", Run: func(c dockercli.C) {
		out := c.Out("--tmpfs", "/etc", "--", "sh", "-c", "stat -f -c %T /etc; grep -c alice /etc/passwd; stat -c %a /etc")
		c.Equal("output", out, "tmpfs\n1\n755")
		c.Equal("not", c.Out("--tmpfs", "/home:notmpcopyup", "--", "ls", "/home"), "")
	}},
}

// User namespaces, which Podman makes for each container.
var usernsScenarios = []dockercli.Scenario{
	{Name: "--uidmap --gidmap", Run: func(c dockercli.C) {
		maps := []string{"--uidmap", "0:100000:2000", "--gidmap", "0:100000:2000", "--"}
		if c.Rootless { // of the ids that the user has
			maps = []string{"--uidmap", "0:1:2000", "--gidmap", "0:1:2000", "--"}
		}
		out := c.Out(append(maps, "sh", "-c", "touch /made && stat -c %u:%g /made; awk '{print $3}' /proc/self/uid_map; id -u")...)
		c.Equal("output", out, "0:0\n2000\n0")
	}},
	{Name: "--userns auto", Run: func(c dockercli.C) {
		if !c.Rootless {
			c.Must("sh", "-c", "grep -q ^containers: /etc/subuid || echo containers:2000000:1000000 | tee -a /etc/subuid >>/etc/subgid")
		}
		out := c.Out("--userns", "auto:size=3000", "--", "awk", "{print $1, $3}", "/proc/self/uid_map")
		c.Equal("map", out, "0 3000")
	}},
	{Name: "--userns keep-id", Run: func(c dockercli.C) {
		if !c.Rootless {
			c.Skipf("keep-id is for ordinary users")
		}
		dir := c.Path("tmp", c.ID)
		c.Must("sh", "-c", "mkdir "+dir+"; chown "+containers.UserID+" "+dir)
		out := c.Out("--userns", "keep-id", "-v", dir+":/data", "--", "sh", "-c", "id -u; touch /data/mine; stat -c %u /data/mine; (touch /etc/x) 2>&1; true")
		c.Contains("output", out, containers.UserID+"\n"+containers.UserID+"\n", "denied")
		c.Equal("owner outside", c.Must("stat", "-c", "%u", dir+"/mine"), containers.UserID)
	}},
}
