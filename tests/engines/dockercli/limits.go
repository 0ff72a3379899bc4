package dockercli

import (
	"strings"

	"davit/tests/engines/lab"
)

var limitScenarios = []Scenario{
	{Name: "--memory --memory-reservation --memory-swap", Run: func(c C) {
		c.Needs("memory")
		c.Start("--memory", "64m", "--memory-reservation", "32m", "--memory-swap", "128m")
		c.Equal("limit", c.Limit(lab.MemoryLimit), 64<<20)
		c.Equal("reservation", c.Limit(lab.MemoryReservation), 32<<20)
	}},
	{Name: "OOMKilled", Run: func(c C) {
		c.Needs("memory")
		c.Start("--memory", "16m", "--", "sh", "-c", "head -c 64m /dev/zero | tail -c 64m >/dev/null; exit 137")
		c.Equal("exit status", c.Do("wait", c.ID), 137)
		if !c.TellsOOM {
			return
		}
		c.Eventually("OOMKilled", func() bool { return c.Inspect("{{.State.OOMKilled}}") == "true" })
	}},
	{Name: "--oom-kill-disable", Run: func(c C) {
		c.Needs("memory")
		if c.Cgroups == lab.V2 {
			c.Skipf("cgroup v2 has no such thing")
		}
		c.Start("--memory", "64m", "--oom-kill-disable")
		c.Contains("control", c.Limit(lab.OOMControl), "oom_kill_disable 1")
	}},
	{Name: "--cpus --cpu-shares", Run: func(c C) {
		c.Needs("cpu")
		c.Start("--cpus", "0.5", "--cpu-shares", "512")
		c.Equal("quota", strings.Fields(c.Limit(lab.CPUQuota))[0], 50000)
		if c.Cgroups != lab.V2 {
			c.Equal("shares", c.Limit(lab.CPUShares), 512)
		}
	}},
	{Name: "--cpuset-cpus", Run: func(c C) {
		c.Needs("cpuset")
		c.Equal("cpus", c.Out("--cpuset-cpus", "0", "--", "grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t0")
	}},
	{Name: "--pids-limit", Run: func(c C) {
		c.Needs("pids")
		c.Start("--pids-limit", "10")
		c.Equal("limit", c.Limit(lab.PidsLimit), 10)
		out := c.Run(c.ExecLine("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done")...)
		c.Contains("error", out.Stderr, "can't fork")
	}},
	{Name: "no --pids-limit", Run: func(c C) {
		c.Needs("pids")
		c.Start()
		c.Equal("by default", c.Limit(lab.PidsLimit), c.PidsLimit)
		for _, unlimited := range []string{"0", "-1"} {
			name := c.ID + unlimited
			c.StartAs(name, "--pids-limit", unlimited)
			c.Equal("limit", c.S.Limit(c.Do("inspect", "--format", "{{.State.Pid}}", name), lab.PidsLimit), "max")
		}
	}},
	{Name: "a limit without its controller", Run: func(c C) {
		c.NeedsCgroups()
		if c.Has("memory") {
			c.Skipf("these cgroups have a memory controller")
		}
		c.End(0, "true")
		out := c.Run(c.RunLine("--rm", "--memory", "64m", "--", "true")...)
		// The engine notices by itself, and leaves the limit out with a warning; or davit refuses it.
		if out.Code == 0 {
			c.Contains("warning", out.Stderr, "memory")
		} else {
			c.Contains("error", out.Stderr, "memory", "controller")
		}
	}},
	{Name: "--device-read-bps", Run: func(c C) {
		c.Needs("blkio")
		disk := c.Must("sh", "-c", "for d in /sys/block/[vsn]*; do [ ! -b /dev/${d##*/} ] || { echo /dev/${d##*/}; break; }; done")
		if disk == "" {
			c.Skipf("there is no disk here")
		}
		c.Start("--device-read-bps", disk+":1mb")
		c.Contains("limit", c.Limit(lab.ReadBps), "1048576")
	}},
	{Name: "update", Run: func(c C) {
		c.Needs("memory")
		c.Start("--memory", "64m", "--memory-swap", "64m")
		c.Do("update", "--memory", "128m", "--memory-swap", "128m", "--cpus", "0.3", "--cpu-shares", "300", "--cpuset-cpus", "0", c.ID)
		c.Equal("memory", c.Limit(lab.MemoryLimit), 128<<20)
		c.Equal("quota", strings.Fields(c.Limit(lab.CPUQuota))[0], 30000)
		c.Equal("cpus", c.Limit(lab.CPUSet), 0)
	}},
	{Name: "update --pids-limit", Run: func(c C) {
		c.Needs("pids")
		c.Start("--pids-limit", "99")
		c.Do("update", "--pids-limit", "77", c.ID)
		c.Equal("limit", c.Limit(lab.PidsLimit), 77)
	}},
	{Name: "update --restart", Run: func(c C) {
		c.Start("--", "sh", "-c", "sleep 0.5; exit 1")
		c.Do("update", "--restart", "always", c.ID)
		c.Eventually("a restart", func() bool { return c.Inspect("{{.RestartCount}}") >= "1" })
	}},
	{Name: "--ulimit", Run: func(c C) {
		c.Equal("limits", c.Out("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "nproc=1000", "--", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"), "100\n200\n0")
	}},
	{Name: "--ulimit above the engine's own", Excuse: lab.NoResource, Run: func(c C) {
		c.Equal("limit", c.Out("--ulimit", "nofile=2000000:2000000", "--", "sh", "-c", "ulimit -Hn"), "2000000")
	}},
	{Name: "--oom-score-adj", Excuse: lab.NoResource, Run: func(c C) {
		c.Equal("score", c.Out("--oom-score-adj", "-500", "--", "cat", "/proc/self/oom_score_adj"), "-500")
	}},
	{Name: "--oom-score-adj upwards", Run: func(c C) {
		c.Equal("score", c.Out("--oom-score-adj", "500", "--", "cat", "/proc/self/oom_score_adj"), "500")
	}},
	{Name: "--shm-size", Run: func(c C) {
		c.Contains("size", c.Out("--shm-size", "8m", "--", "df", "-k", "/dev/shm"), " 8192 ")
	}},
	{Name: "--cgroup-parent", Run: func(c C) {
		c.NeedsCgroups()
		parent := c.Parent + "/" + c.ID + "-parent"
		// Parents are left to the engine, which leaves them, too.
		c.Cleanup(func() {
			remove := "for d in /sys/fs/cgroup/*" + parent + " /sys/fs/cgroup" + parent + "; do [ ! -d $d ] || find $d -depth -type d -exec rmdir {} + || exit 1; done"
			c.Eventually("the parent is empty", func() bool { return c.Run("sh", "-c", remove).Code == 0 })
		})
		c.Start("--cgroup-parent", parent)
		c.Contains("cgroup", c.Must("cat", "/proc/"+c.Inspect("{{.State.Pid}}")+"/cgroup"), parent+"/")
	}},
	{Name: "--cgroupns private", Run: func(c C) {
		c.NeedsCgroups()
		for line := range strings.SplitSeq(c.Out("--cgroupns", "private", "--", "cat", "/proc/self/cgroup"), "\n") {
			c.Equal("path of "+line, strings.SplitN(line, ":", 3)[2], "/")
		}
	}},
	{Name: "--cgroupns host", Run: func(c C) {
		c.NeedsCgroups()
		c.Start("--cgroupns", "host")
		c.Contains("cgroup", c.Exec("cat", "/proc/1/cgroup"), c.Inspect("{{.Id}}"))
	}},
}
