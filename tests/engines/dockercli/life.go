package dockercli

import (
	"strconv"
	"strings"
	"time"
)

const (
	ticking = "while :; do echo x >>/tmp/ticks; sleep 0.02; done"
	waiting = "touch /tmp/ready; while :; do sleep 0.02; done"
)

// ticks counts what the container's process has done so far.
func (c C) ticks() int {
	out := c.Run("cat", "/proc/"+c.Inspect("{{.State.Pid}}")+"/root/tmp/ticks")
	return strings.Count(out.Stdout, "x")
}

var lifeScenarios = []Scenario{
	{Name: "pause and unpause", Run: func(c C) {
		c.NeedsCgroups()
		c.Start("--", "sh", "-c", ticking)
		c.Eventually("ticks", func() bool { return c.ticks() > 0 })
		c.Do("pause", c.ID)
		c.Equal("status", c.Status(), "paused")
		before := c.ticks()
		c.Must("sleep", "0.3")
		c.Equal("ticks while paused", c.ticks(), before)
		c.Do("unpause", c.ID)
		c.Eventually("it goes on", func() bool { return c.ticks() > before })
	}},
	{Name: "rm -f of a paused one", Run: func(c C) {
		c.NeedsCgroups()
		c.Start()
		c.Do("pause", c.ID)
	}},
	{Name: "kill with a signal", Run: func(c C) {
		c.Start("--", "sh", "-c", `trap "exit 42" USR1; `+waiting)
		c.Eventually("the trap", func() bool { return c.Made("/tmp/ready") })
		c.Do("kill", "-s", "USR1", c.ID)
		c.Equal("exit status", c.Do("wait", c.ID), 42)
	}},
	{Name: "stop", Run: func(c C) {
		c.Start("--stop-signal", "INT", "--", "sh", "-c", `trap "exit 43" INT; `+waiting)
		c.Eventually("the trap", func() bool { return c.Made("/tmp/ready") })
		c.Do("stop", c.ID)
		c.Equal("exit status", c.Inspect("{{.State.ExitCode}}"), 43)
	}},
	{Name: "stop of a deaf one", Run: func(c C) {
		c.Start()
		c.Do("stop", "-t", "1", c.ID)
		c.Equal("exit status", c.Inspect("{{.State.ExitCode}}"), 137)
		c.Equal("error", c.Inspect("{{.State.Error}}"), "")
	}},
	{Name: "stop with --pid host", Run: func(c C) {
		c.Start("--pid", "host", "--", "sh", "-c", "sleep 998 & sleep 999")
		c.Eventually("both", func() bool { return c.Run("pgrep", "-f", "^sleep 998$").Code == 0 })
		c.Do("stop", "-t", "0", c.ID)
		if c.Uncaged != "" {
			c.Run("pkill", "-f", "^sleep 998$") // nothing knows the others without a cgroup
			return
		}
		c.Eventually("all are gone", func() bool { return c.Run("pgrep", "-f", "^sleep 998$").Code != 0 })
	}},
	{Name: "restart", Run: func(c C) {
		c.Start()
		pid := c.Inspect("{{.State.Pid}}")
		c.Do("restart", "-t", "0", c.ID)
		c.Equal("status", c.Status(), "running")
		if c.Inspect("{{.State.Pid}}") == pid {
			c.Fatalf("it's the same process")
		}
	}},
	{Name: "restart policies", Run: func(c C) {
		c.Start("--restart", "on-failure:2", "--", "false")
		c.Eventually("it gives up", func() bool { return c.Inspect("{{.RestartCount}} {{.State.Status}}") == "2 exited" })
	}},
	{Name: "restart always", Run: func(c C) {
		// The third stays: Podman can't remove what ends between its look and its kill, with any runtime.
		c.Start("--restart", "always", "--", "sh", "-c", "echo start >>/starts; set -- $(cat /starts); [ $# -lt 3 ] || exec sleep 100")
		c.Eventually("two restarts", func() bool { return c.Inspect("{{.RestartCount}} {{.State.Status}}") == "2 running" })
	}},
	{Name: "healthcheck", Run: func(c C) {
		interval := "0.2s"
		if !c.Timers {
			interval = "disable"
		}
		c.Start("--health-cmd", "test -e /tmp/well", "--health-interval", interval, "--health-retries", "1")
		becomes := func(health string, status int) {
			if !c.Timers {
				c.Want(status, c.Line("healthcheck", "run", c.ID)...)
			}
			c.Eventually(health, func() bool { return c.Inspect("{{.State.Health.Status}}") == health })
		}
		becomes("unhealthy", 1)
		c.Exec("touch", "/tmp/well")
		becomes("healthy", 0)
	}},
	{Name: "--init", Run: func(c C) {
		c.Contains("processes", c.Out("--init", "--", "ps"), "1 root     "+c.Init+" -- ps")
	}},
	{Name: "rename, ps, events", Run: func(c C) {
		c.Start()
		c.Do("rename", c.ID, c.ID+"b")
		c.Equal("running", c.Do("ps", "--filter", "status=running", "--format", "{{.Names}}"), c.ID+"b")
		c.Do("rename", c.ID+"b", c.ID)
		// Podman follows its file of events up to that second, and now and then gives up before it has read any.
		c.Eventually("create, start and rename among the events", func() bool {
			now := strconv.FormatInt(time.Now().Unix()+1, 10)
			events := c.Do("events", "--since", "5m", "--until", now, "--filter", "container="+c.ID)
			return strings.Contains(events, "create") && strings.Contains(events, "start") && strings.Contains(events, "rename")
		})
	}},
	{Name: "many at once", Run: func(c C) {
		var names, create []string
		for i := range 8 {
			name := c.ID + "-" + string(rune('a'+i))
			names = append(names, name)
			create = append(create, strings.Join(c.Make("run", name, "-d", "--network", "none", "--", "sleep", "1000"), " ")+" &")
		}
		c.Cleanup(func() { c.Do(append(append([]string{}, c.Remove...), names...)...) })
		c.Must("sh", "-c", strings.Join(create, "\n")+"\nwait")
		c.Equal("running", len(strings.Fields(c.Do("ps", "--filter", "name="+c.ID+"-", "--filter", "status=running", "-q"))), len(names))
	}},
}
