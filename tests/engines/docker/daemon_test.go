package docker

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/lab"
)

func TestLiveRestore(t *testing.T) {
	e, daemon := start(t, lab.Hybrid, "--live-restore")
	e.Scenarios(t, []lab.Scenario{{Name: "live-restore", Run: with(func(d docker) {
		d.detached("-i", "--", "sh", "-c", "echo before; "+ticking)
		pid := d.inspect("{{.State.Pid}}")
		if err := daemon.Stop(syscall.SIGTERM); err != nil {
			d.Fatalf("%v", err)
		}
		d.Must("kill", "-0", pid)
		daemon.run(t, e.Cell)
		d.Equal("pid", d.inspect("{{.State.Pid}}"), pid)
		d.Equal("status", d.status(), "running")
		d.Equal("output", d.exec("echo", "still here"), "still here")
		d.docker("stop", "-t", "1", d.ID)
		d.Equal("exit status", d.inspect("{{.State.ExitCode}}"), 137)
	})}, {Name: "the daemon is killed", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", "sleep 1000")
		pid := d.inspect("{{.State.Pid}}")
		if err := daemon.Stop(syscall.SIGKILL); err != nil {
			d.Fatalf("%v", err)
		}
		d.Must("rm", "/run/docker.pid")
		daemon.run(t, e.Cell)
		d.Equal("pid", d.inspect("{{.State.Pid}}"), pid)
		d.Equal("output", d.exec("echo", "still here"), "still here")
	})}})
}

func TestUsernsRemap(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) {
			e, _ := start(t, cgroups, "--userns-remap", "default")
			e.Name += ", --userns-remap"
			e.Scenarios(t, usernsScenarios)
		})
	}
}

var usernsScenarios = []lab.Scenario{
	{Name: "remapped run", Run: with(func(d docker) {
		d.detached("-v", "/data")
		first := strings.Fields(d.exec("cat", "/proc/self/uid_map"))
		d.Equal("first id and size", []string{first[0], first[2]}, []string{"0", "65536"})
		d.Equal("owner of the process", d.Must("stat", "-c", "%u", "/proc/"+d.inspect("{{.State.Pid}}")), first[1])
		d.Equal("ids", d.exec("-u", "alice", "--", "id", "-u"), "1000")
		d.exec("sh", "-c", "touch /data/x && chown alice /data/x && hostname && mount | grep -q ' on /proc '")
		d.Equal("capabilities", d.exec("grep", "CapEff", "/proc/self/status"), "CapEff:\t00000000a80425fb")
	})},
	{Name: "remapped -it", Run: with(func(d docker) {
		term := d.Terminal(33, 77, d.run("--rm", "-it", "--", "sh", "-c", "tty; read x; stat -c %u $(tty); exit 5")...)
		d.Eventually("the terminal's name", func() bool { return strings.Contains(term.Output(), "/dev/pts/0") })
		term.Type("words\n")
		d.Equal("exit status", term.Wait(), 5)
	})},
	{Name: "remapped network and devices", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", server)
		d.fetch(d.inspect("{{.NetworkSettings.IPAddress}}")+":80", "served")
		d.Equal("devices", d.exec("sh", "-c", "head -c 4 /dev/zero | wc -c; echo x >/dev/null; stat -c %t:%T /dev/null"), "4\n1:3")
	})},
	{Name: "remapped, but --userns host", Run: with(func(d docker) {
		d.Equal("map", strings.Fields(d.out("--userns", "host", "--", "cat", "/proc/self/uid_map")), []string{"0", "0", "4294967295"})
	})},
	{Name: "remapped build", Run: with(func(d docker) {
		tag := "davit.test/" + d.ID
		d.Write(d.ID+"/Dockerfile", "FROM "+image+"\nRUN echo bob:x:1001:1000::/:/bin/sh >>/etc/passwd && touch /srv\n", 0o644)
		d.Cleanup(func() { d.docker("rmi", "-f", tag) })
		d.Must("env", "DOCKER_BUILDKIT=0", client, "build", "-t", tag, d.Path(d.ID))
		d.Contains("users", d.docker("run", "--rm", tag, "cat", "/etc/passwd"), "bob")
	})},
}

func TestSwarm(t *testing.T) {
	e, _ := start(t, lab.Hybrid)
	e.Name += ", swarm"
	e.Scenarios(t, []lab.Scenario{{Name: "a service on one node", Run: with(func(d docker) {
		d.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
		d.Cleanup(func() { d.docker("swarm", "leave", "--force") })
		d.docker("service", "create", "--detach", "--name", d.ID, "--replicas", "2", "--limit-memory", "64m", "--no-resolve-image", image, "sleep", "1000")
		running := func() int {
			return strings.Count(d.docker("ps", "--filter", "label=com.docker.swarm.service.name="+d.ID, "--filter", "status=running", "--format", "{{.ID}}\n"), "\n")
		}
		d.Eventually("two tasks", func() bool { return running() >= 2 || strings.Count(d.docker("ps", "-q"), "\n") >= 1 })
		d.docker("service", "scale", "--detach", d.ID+"=1")
		d.Eventually("one task", func() bool { return len(strings.Fields(d.docker("ps", "-q"))) == 1 })
		d.docker("service", "rm", d.ID)
		d.Eventually("none", func() bool { return d.docker("ps", "-aq") == "" })
	})}})
}

func TestCompose(t *testing.T) {
	e, _ := start(t, lab.Hybrid)
	e.Name += ", docker-compose"
	e.Scenarios(t, []lab.Scenario{{Name: "up, exec, down", Run: with(func(d docker) {
		if d.Run("which", "docker-compose").Code != 0 {
			d.Skipf("docker-compose isn't installed")
		}
		file := d.Write(d.ID+"/docker-compose.yml", `version: "3"
services:
  web:
    image: `+image+`
    command: `+quoted(server)+`
    ports: ["8080:80"]
    mem_limit: 64m
  client:
    image: `+image+`
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
		d.fetch("127.0.0.1:8080", "served")
		d.Contains("output", compose("exec", "-T", "client", "sh", "-c", "id -un; "+askWeb), "alice\n", "served")
		compose("restart", "-t", "1", "client")
		d.Contains("processes", compose("ps"), "Up")
	})}})
}

// quoted makes a JSON array of a shell's command line, with what compose would expand escaped.
func quoted(script string) string {
	text, _ := json.Marshal([]string{"sh", "-c", strings.ReplaceAll(script, "$", "$$")})
	return string(text)
}
