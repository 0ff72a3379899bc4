package docker

import (
	"strings"

	"davit/tests/engines/lab"
)

func (d docker) limit(l lab.Limit) string { return d.Limit(d.inspect("{{.State.Pid}}"), l) }

var limitScenarios = []lab.Scenario{
	{Name: "--memory --memory-reservation --memory-swap", Run: with(func(d docker) {
		d.Needs("memory")
		d.detached("--memory", "64m", "--memory-reservation", "32m", "--memory-swap", "128m")
		d.Equal("limit", d.limit(lab.MemoryLimit), 64<<20)
		d.Equal("reservation", d.limit(lab.MemoryReservation), 32<<20)
	})},
	{Name: "OOMKilled", Run: with(func(d docker) {
		d.Needs("memory")
		d.detached("--memory", "16m", "--", "sh", "-c", "head -c 64m /dev/zero | tail -c 64m >/dev/null; exit 137")
		d.Equal("exit status", d.docker("wait", d.ID), 137)
		d.Eventually("OOMKilled", func() bool { return d.inspect("{{.State.OOMKilled}}") == "true" })
	})},
	{Name: "--oom-kill-disable", Run: with(func(d docker) {
		if d.Cgroups == lab.V2 {
			d.Skipf("cgroup v2 has no such thing")
		}
		d.detached("--memory", "64m", "--oom-kill-disable")
		d.Contains("control", d.limit(lab.OOMControl), "oom_kill_disable 1")
	})},
	{Name: "--cpus --cpu-shares", Run: with(func(d docker) {
		d.Needs("cpu")
		d.detached("--cpus", "0.5", "--cpu-shares", "512")
		d.Equal("quota", strings.Fields(d.limit(lab.CPUQuota))[0], 50000)
		if d.Cgroups != lab.V2 {
			d.Equal("shares", d.limit(lab.CPUShares), 512)
		}
	})},
	{Name: "--cpuset-cpus", Run: with(func(d docker) {
		d.Needs("cpuset")
		d.Equal("cpus", d.out("--cpuset-cpus", "0", "--", "grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t0")
	})},
	{Name: "--pids-limit", Run: with(func(d docker) {
		d.Needs("pids")
		d.detached("--pids-limit", "10")
		d.Equal("limit", d.limit(lab.PidsLimit), 10)
		out := d.Run(d.cmd("exec", d.ID, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done")...)
		d.Contains("error", out.Stderr, "can't fork")
	})},
	{Name: "a limit without its controller", Run: with(func(d docker) {
		if d.Has("memory") {
			d.Skipf("these cgroups have a memory controller")
		}
		d.end(0, "true")
		// Docker itself notices, and leaves the limit out with a warning.
		d.Contains("warning", d.end(0, "--memory", "64m", "--", "true").Stderr, "WARNING")
	})},
	{Name: "--blkio-weight and throttling", Run: with(func(d docker) {
		if d.Cgroups == lab.V2 {
			d.Skipf("cgroup v2 has no io controller here")
		}
		d.detached("--device-read-bps", "/dev/vda:1mb")
		d.Contains("limit", d.limit(lab.ReadBps), " 1048576")
	})},
	{Name: "update", Run: with(func(d docker) {
		d.Needs("memory")
		d.detached("--memory", "64m", "--memory-swap", "64m")
		d.docker("update", "--memory", "128m", "--memory-swap", "128m", "--cpus", "0.3", "--cpu-shares", "300", "--pids-limit", "77", "--cpuset-cpus", "0", d.ID)
		d.Equal("memory", d.limit(lab.MemoryLimit), 128<<20)
		d.Equal("quota", strings.Fields(d.limit(lab.CPUQuota))[0], 30000)
		d.Equal("pids", d.limit(lab.PidsLimit), 77)
		d.Equal("cpus", d.limit(lab.CPUSet), 0)
		d.docker("update", "--restart", "always", d.ID)
	})},
	{Name: "--ulimit", Run: with(func(d docker) {
		d.Equal("limits", d.out("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"), "100\n200\n0")
	})},
	{Name: "--ulimit above the daemon's", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(d docker) {
		d.Equal("limit", d.out("--ulimit", "nofile=2000000:2000000", "--", "sh", "-c", "ulimit -Hn"), "2000000")
	})},
	{Name: "--oom-score-adj", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(d docker) {
		d.Equal("score", d.out("--oom-score-adj", "-500", "--", "cat", "/proc/self/oom_score_adj"), "-500")
	})},
	{Name: "--oom-score-adj upwards", Run: with(func(d docker) {
		d.Equal("score", d.out("--oom-score-adj", "500", "--", "cat", "/proc/self/oom_score_adj"), "500")
	})},
	{Name: "--shm-size", Run: with(func(d docker) {
		d.Contains("size", d.out("--shm-size", "8m", "--", "df", "-k", "/dev/shm"), " 8192 ")
	})},
	{Name: "--cgroup-parent", Run: with(func(d docker) {
		parent := "/" + d.Mark + "/" + d.ID + "-parent"
		d.detached("--cgroup-parent", parent)
		d.Contains("cgroup", d.Must("cat", "/proc/"+d.inspect("{{.State.Pid}}")+"/cgroup"), parent+"/")
		// Parents are left to the engine, which leaves them, too.
		d.Cleanup(func() {
			d.docker("rm", "-f", d.ID)
			d.Must("sh", "-c", "rmdir /sys/fs/cgroup/*"+parent+" /sys/fs/cgroup"+parent+" 2>/dev/null; true")
		})
	})},
	{Name: "--cgroupns private", Run: with(func(d docker) {
		out := d.out("--cgroupns", "private", "--", "cat", "/proc/self/cgroup")
		for line := range strings.SplitSeq(out, "\n") {
			d.Equal("path of "+line, strings.SplitN(line, ":", 3)[2], "/")
		}
	})},
	{Name: "--cgroupns host", Run: with(func(d docker) {
		d.Contains("cgroup", d.out("--cgroupns", "host", "--", "cat", "/proc/self/cgroup"), "/"+d.Mark+"/")
	})},
}
