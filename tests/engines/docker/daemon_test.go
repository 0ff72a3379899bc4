package docker

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/dockercli"
	"davit/tests/engines/lab"
)

func TestLiveRestore(t *testing.T) {
	e, daemon := start(t, lab.Hybrid, "--live-restore")
	dockercli.Run(t, e, dialect(e), dockercli.Scenario{Name: "live-restore", Run: func(d dockercli.C) {
		d.Start("-i", "--", "sh", "-c", "echo before; "+"while :; do echo x >>/tmp/ticks; sleep 0.02; done")
		pid := d.Inspect("{{.State.Pid}}")
		if err := daemon.Stop(syscall.SIGTERM); err != nil {
			d.Fatalf("%v", err)
		}
		d.Must("kill", "-0", pid)
		daemon.run(t, e.Cell)
		d.Equal("pid", d.Inspect("{{.State.Pid}}"), pid)
		d.Equal("status", d.Status(), "running")
		d.Equal("output", d.Exec("echo", "still here"), "still here")
		d.Do("stop", "-t", "1", d.ID)
		d.Equal("exit status", d.Inspect("{{.State.ExitCode}}"), 137)
	}}, dockercli.Scenario{Name: "the daemon is killed", Run: func(d dockercli.C) {
		d.Start("--", "sh", "-c", "sleep 1000")
		pid := d.Inspect("{{.State.Pid}}")
		if err := daemon.Stop(syscall.SIGKILL); err != nil {
			d.Fatalf("%v", err)
		}
		d.Must("rm", "/run/docker.pid")
		daemon.run(t, e.Cell)
		d.Equal("pid", d.Inspect("{{.State.Pid}}"), pid)
		d.Equal("output", d.Exec("echo", "still here"), "still here")
	}})
}

func TestUsernsRemap(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) {
			e, _ := start(t, cgroups, "--userns-remap", "default")
			e.Name += ", --userns-remap"
			dockercli.Run(t, e, dialect(e), usernsScenarios...)
		})
	}
}

var usernsScenarios = []dockercli.Scenario{
	{Name: "remapped run", Run: func(d dockercli.C) {
		d.Start("-v", "/data")
		first := strings.Fields(d.Exec("cat", "/proc/self/uid_map"))
		d.Equal("first id and size", []string{first[0], first[2]}, []string{"0", "65536"})
		d.Equal("owner of the process", d.Must("stat", "-c", "%u", "/proc/"+d.Inspect("{{.State.Pid}}")), first[1])
		d.Equal("ids", d.Exec("-u", "alice", "--", "id", "-u"), "1000")
		d.Exec("sh", "-c", "touch /data/x && chown alice /data/x && hostname && mount | grep -q ' on /proc '")
		d.Equal("capabilities", d.Exec("grep", "CapEff", "/proc/self/status"), "CapEff:\t00000000a80425fb")
	}},
	{Name: "remapped -it", Run: func(d dockercli.C) {
		term := d.Terminal(33, 77, d.RunLine("--rm", "-it", "--", "sh", "-c", "tty; read x; stat -c %u $(tty); exit 5")...)
		d.Eventually("the terminal's name", func() bool { return strings.Contains(term.Output(), "/dev/pts/0") })
		term.Type("words\n")
		d.Equal("exit status", term.Wait(), 5)
	}},
	{Name: "remapped network and devices", Run: func(d dockercli.C) {
		d.Start("--", "sh", "-c", dockercli.Server)
		d.Fetch(d.Inspect("{{.NetworkSettings.IPAddress}}")+":80", "served")
		d.Equal("devices", d.Exec("sh", "-c", "head -c 4 /dev/zero | wc -c; echo x >/dev/null; stat -c %t:%T /dev/null"), "4\n1:3")
	}},
	{Name: "remapped, but --userns host", Run: func(d dockercli.C) {
		d.Equal("map", strings.Fields(d.Out("--userns", "host", "--", "cat", "/proc/self/uid_map")), []string{"0", "0", "4294967295"})
	}},
	{Name: "remapped build", Run: func(d dockercli.C) {
		tag := "davit.test/" + d.ID
		d.Write(d.ID+"/Dockerfile", "FROM "+d.Image+"\nRUN echo bob:x:1001:1000::/:/bin/sh >>/etc/passwd && touch /srv\n", 0o644)
		d.Cleanup(func() { d.Do("rmi", "-f", tag) })
		d.Must("env", "DOCKER_BUILDKIT=0", client, "build", "-t", tag, d.Path(d.ID))
		d.Contains("users", d.Do("run", "--rm", tag, "cat", "/etc/passwd"), "bob")
	}},
}

func TestSwarm(t *testing.T) {
	e, _ := start(t, lab.Hybrid)
	e.Name += ", swarm"
	dockercli.Run(t, e, dialect(e), dockercli.Scenario{Name: "a service on one node", Run: func(d dockercli.C) {
		d.Do("swarm", "init", "--advertise-addr", "127.0.0.1")
		d.Cleanup(func() { d.Do("swarm", "leave", "--force") })
		d.Do("service", "create", "--detach", "--name", d.ID, "--replicas", "2", "--limit-memory", "64m", "--no-resolve-image", d.Image, "sleep", "1000")
		tasks := func() []string {
			return strings.Fields(d.Do("ps", "-q", "--filter", "label=com.docker.swarm.service.name="+d.ID, "--filter", "status=running"))
		}
		d.Eventually("two tasks", func() bool { return len(tasks()) == 2 })
		pid := d.Do("inspect", "--format", "{{.State.Pid}}", tasks()[0])
		d.Equal("limit", d.S.Limit(pid, lab.MemoryLimit), 64<<20)
		d.Do("service", "scale", "--detach", d.ID+"=1")
		d.Eventually("one task", func() bool { return len(tasks()) == 1 })
		d.Do("service", "rm", d.ID)
		d.Eventually("none", func() bool { return d.Do("ps", "-aq") == "" })
	}})
}

func TestCompose(t *testing.T) {
	e, _ := start(t, lab.Hybrid)
	e.Name += ", docker-compose"
	dockercli.Run(t, e, dialect(e), dockercli.Scenario{Name: "up, exec, down", Run: func(d dockercli.C) {
		if d.Run("which", "docker-compose").Code != 0 {
			d.Skipf("docker-compose isn't installed")
		}
		file := d.Write(d.ID+"/docker-compose.yml", `version: "3"
services:
  web:
    image: `+d.Image+`
    command: `+quoted(dockercli.Server)+`
    ports: ["8080:80"]
    mem_limit: 64m
  client:
    image: `+d.Image+`
    command: sleep 1000
    depends_on: [web]
    read_only: true
    user: alice
`, 0o644)
		compose := func(args ...string) string {
			return d.Must(append([]string{"docker-compose", "-f", file, "-p", d.ID}, args...)...)
		}
		d.Cleanup(func() { compose("down", "-t", "1", "-v") })
		compose("up", "-d")
		d.Fetch("127.0.0.1:8080", "served")
		d.Contains("output", compose("exec", "-T", "client", "sh", "-c", "id -un; "+dockercli.AskWeb), "alice\n", "served")
		compose("restart", "-t", "1", "client")
		d.Contains("processes", compose("ps"), "Up")
	}})
}

// quoted makes a JSON array of a shell's command line, with what compose would expand escaped.
func quoted(script string) string {
	text, _ := json.Marshal([]string{"sh", "-c", strings.ReplaceAll(script, "$", "$$")})
	return string(text)
}
