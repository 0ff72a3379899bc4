package podman

import (
	"strings"

	"davit/tests/engines/lab"
)

const (
	ticking = "while :; do echo x >>/tmp/ticks; sleep 0.02; done"
	waiting = "touch /tmp/ready; while :; do sleep 0.02; done"
)

// ticks counts what the container's process has done so far.
func (p podman) ticks() int {
	out := p.Run("cat", "/proc/"+p.inspect("{{.State.Pid}}")+"/root/tmp/ticks")
	return strings.Count(out.Stdout, "x")
}

func (p podman) status() string { return p.inspect("{{.State.Status}}") }

// needsCgroups skips what Podman does by cgroups: without root it uses them on version 2 only.
func (p podman) needsCgroups() {
	if p.rootless() && p.Cgroups != lab.V2 {
		p.Skipf("Podman without root uses cgroups on version 2 only")
	}
}

var lifeScenarios = []lab.Scenario{
	{Name: "pause and unpause", Run: with(func(p podman) {
		p.needsCgroups()
		p.detached("--", "sh", "-c", ticking)
		p.Eventually("ticks", func() bool { return p.ticks() > 0 })
		p.podman("pause", p.ID)
		p.Equal("status", p.status(), "paused")
		before := p.ticks()
		p.Must("sleep", "0.3")
		p.Equal("ticks while paused", p.ticks(), before)
		p.podman("unpause", p.ID)
		p.Eventually("it goes on", func() bool { return p.ticks() > before })
	})},
	{Name: "rm -f of a paused one", Run: with(func(p podman) {
		p.needsCgroups()
		p.detached()
		p.podman("pause", p.ID)
	})},
	{Name: "kill with a signal", Run: with(func(p podman) {
		p.detached("--", "sh", "-c", `trap "exit 42" USR1; `+waiting)
		p.Eventually("the trap", func() bool { return p.made("/tmp/ready") })
		p.podman("kill", "-s", "USR1", p.ID)
		p.Equal("exit status", p.podman("wait", p.ID), 42)
	})},
	{Name: "stop", Run: with(func(p podman) {
		p.detached("--stop-signal", "INT", "--", "sh", "-c", `trap "exit 43" INT; `+waiting)
		p.Eventually("the trap", func() bool { return p.made("/tmp/ready") })
		p.podman("stop", p.ID)
		p.Equal("exit status", p.inspect("{{.State.ExitCode}}"), 43)
	})},
	{Name: "stop of a deaf one", Run: with(func(p podman) {
		p.detached()
		p.podman("stop", "-t", "1", p.ID)
		p.Equal("exit status", p.inspect("{{.State.ExitCode}}"), 137)
	})},
	{Name: "stop with --pid host", Run: with(func(p podman) {
		p.detached("--pid", "host", "--", "sh", "-c", "sleep 998 & sleep 999")
		p.Eventually("both", func() bool { return p.Run("pgrep", "-f", "^sleep 998$").Code == 0 })
		p.podman("stop", "-t", "0", p.ID)
		if p.rootless() && p.Cgroups != lab.V2 {
			p.Run("pkill", "-f", "^sleep 998$") // nothing knows the others without a cgroup
			return
		}
		p.Eventually("all are gone", func() bool { return p.Run("pgrep", "-f", "^sleep 998$").Code != 0 })
	})},
	{Name: "restart", Run: with(func(p podman) {
		p.detached()
		pid := p.inspect("{{.State.Pid}}")
		p.podman("restart", "-t", "0", p.ID)
		p.Equal("status", p.status(), "running")
		if p.inspect("{{.State.Pid}}") == pid {
			p.Fatalf("it's the same process")
		}
	})},
	{Name: "restart policies", Run: with(func(p podman) {
		p.detached("--restart", "on-failure:2", "--", "false")
		p.Eventually("it gives up", func() bool { return p.inspect("{{.RestartCount}} {{.State.Status}}") == "2 exited" })
	})},
	{Name: "healthcheck", Run: with(func(p podman) {
		p.detached("--health-cmd", "test -e /tmp/well", "--health-interval", "disable", "--health-retries", "1")
		p.Want(1, p.cmd("healthcheck", "run", p.ID)...)
		p.Equal("status", p.inspect("{{.State.Health.Status}}"), "unhealthy")
		p.exec("touch", "/tmp/well")
		p.podman("healthcheck", "run", p.ID)
		p.Equal("status", p.inspect("{{.State.Health.Status}}"), "healthy")
	})},
	{Name: "init", Run: with(func(p podman) {
		p.Contains("processes", p.out("--init", "--", "ps"), "1 root     /run/podman-init -- ps")
	})},
	{Name: "rename, events, ps", Run: with(func(p podman) {
		p.detached()
		p.podman("rename", p.ID, p.ID+"b")
		p.Equal("status", p.podman("ps", "--filter", "status=running", "--format", "{{.Names}}"), p.ID+"b")
		p.podman("rename", p.ID+"b", p.ID)
		p.Contains("events", p.podman("events", "--stream=false", "--since", "5m", "--filter", "container="+p.ID), "create", "start", "rename")
	})},
	{Name: "many at once", Run: with(func(p podman) {
		var names []string
		for i := range 6 {
			names = append(names, p.ID+"-"+string(rune('a'+i)))
		}
		p.Cleanup(func() { p.podman(append([]string{"rm", "-f", "-t", "0"}, names...)...) })
		var create []string
		for _, n := range names {
			create = append(create, strings.Join(p.line("run", n, "-d", "--", "sleep", "1000"), " ")+" &")
		}
		p.Must("sh", "-c", strings.Join(create, "\n")+"\nwait")
		p.Equal("running", len(strings.Fields(p.podman("ps", "--filter", "name="+p.ID+"-", "-q"))), len(names))
	})},
}
