package docker

import (
	"strings"

	"davit/tests/engines/lab"
)

const ticking = "while :; do echo x >>/tmp/ticks; sleep 0.02; done"

// ticks counts what the container's process has done so far.
func (d docker) ticks() int {
	out := d.Run("cat", "/proc/"+d.inspect("{{.State.Pid}}")+"/root/tmp/ticks")
	return strings.Count(out.Stdout, "x")
}

func (d docker) status() string { return d.inspect("{{.State.Status}}") }

var lifeScenarios = []lab.Scenario{
	{Name: "pause and unpause", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", ticking)
		d.Eventually("ticks", func() bool { return d.ticks() > 0 })
		d.docker("pause", d.ID)
		d.Equal("status", d.status(), "paused")
		before := d.ticks()
		d.Must("sleep", "0.3")
		d.Equal("ticks while paused", d.ticks(), before)
		d.docker("unpause", d.ID)
		d.Eventually("it goes on", func() bool { return d.ticks() > before })
	})},
	{Name: "rm -f of a paused one", Run: with(func(d docker) {
		d.detached()
		d.docker("pause", d.ID)
	})},
	{Name: "kill with a signal", Run: with(func(d docker) {
		d.detached("--", "sh", "-c", `trap "exit 42" USR1; touch /tmp/ticks; while :; do sleep 0.02; done`)
		d.Eventually("the trap", func() bool { return d.Run(d.cmd("exec", d.ID, "test", "-e", "/tmp/ticks")...).Code == 0 })
		d.docker("kill", "-s", "USR1", d.ID)
		d.Equal("exit status", d.docker("wait", d.ID), 42)
	})},
	{Name: "stop", Run: with(func(d docker) {
		d.detached("--stop-signal", "INT", "--", "sh", "-c", `trap "exit 43" INT; touch /tmp/ticks; while :; do sleep 0.02; done`)
		d.Eventually("the trap", func() bool { return d.Run(d.cmd("exec", d.ID, "test", "-e", "/tmp/ticks")...).Code == 0 })
		d.docker("stop", d.ID)
		d.Equal("exit status", d.inspect("{{.State.ExitCode}}"), 43)
	})},
	{Name: "stop of a deaf one", Run: with(func(d docker) {
		d.detached()
		d.docker("stop", "-t", "1", d.ID)
		d.Equal("exit status", d.inspect("{{.State.ExitCode}}"), 137)
		d.Equal("error", d.inspect("{{.State.Error}}"), "")
	})},
	{Name: "restart", Run: with(func(d docker) {
		d.detached()
		pid := d.inspect("{{.State.Pid}}")
		d.docker("restart", "-t", "0", d.ID)
		d.Equal("status", d.status(), "running")
		if d.inspect("{{.State.Pid}}") == pid {
			d.Fatalf("it's the same process")
		}
	})},
	{Name: "restart policies", Run: with(func(d docker) {
		d.detached("--restart", "on-failure:2", "--", "false")
		d.Eventually("it gives up", func() bool { return d.inspect("{{.RestartCount}} {{.State.Status}}") == "2 exited" })
	})},
	{Name: "restart always", Run: with(func(d docker) {
		d.detached("--restart", "always", "--", "sleep", "0.1")
		d.Eventually("two restarts", func() bool { return d.inspect("{{.RestartCount}}") >= "2" })
	})},
	{Name: "healthcheck", Run: with(func(d docker) {
		d.detached("--health-cmd", "test -e /tmp/well", "--health-interval", "0.2s", "--health-retries", "1")
		d.Eventually("unhealthy", func() bool { return d.inspect("{{.State.Health.Status}}") == "unhealthy" })
		d.exec("touch", "/tmp/well")
		d.Eventually("healthy", func() bool { return d.inspect("{{.State.Health.Status}}") == "healthy" })
	})},
	{Name: "rename and events", Run: with(func(d docker) {
		d.detached()
		d.docker("rename", d.ID, d.ID+"b")
		d.Equal("status", d.docker("inspect", "--format", "{{.State.Status}}", d.ID+"b"), "running")
		d.docker("rename", d.ID+"b", d.ID)
		now := d.docker("system", "info", "--format", "{{.SystemTime}}")
		d.Contains("events", d.docker("events", "--since", "1m", "--until", now, "--filter", "container="+d.ID, "--format", "{{.Action}}"), "create", "start", "rename")
	})},
	{Name: "many at once", Run: with(func(d docker) {
		var names []string
		for i := range 8 {
			names = append(names, d.ID+"-"+string(rune('a'+i)))
		}
		d.Cleanup(func() { d.docker(append([]string{"rm", "-f"}, names...)...) })
		var create []string
		for _, n := range names {
			create = append(create, client+" run -d --network none --runtime "+d.Runtime+" --name "+n+" "+image+" sleep 1000 &")
		}
		d.Must("sh", "-c", strings.Join(create, "\n")+"\nwait")
		d.Equal("running", strings.Count(d.docker("ps", "--filter", "name="+d.ID+"-", "--filter", "status=running", "-q"), "\n")+1, len(names))
	})},
}
