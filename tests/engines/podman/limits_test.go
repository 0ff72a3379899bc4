package podman

import (
	"strings"

	"davit/tests/engines/lab"
)

func (p podman) limit(l lab.Limit) string { return p.Limit(p.inspect("{{.State.Pid}}"), l) }

// needs skips a limit that these cgroups, or those that Podman may use in them, don't have.
func (p podman) needs(controller string) {
	p.needsCgroups()
	p.Needs(controller)
}

var limitScenarios = []lab.Scenario{
	{Name: "--memory --memory-reservation --memory-swap", Run: with(func(p podman) {
		p.needs("memory")
		p.detached("--memory", "64m", "--memory-reservation", "32m", "--memory-swap", "128m")
		p.Equal("limit", p.limit(lab.MemoryLimit), 64<<20)
		p.Equal("reservation", p.limit(lab.MemoryReservation), 32<<20)
	})},
	{Name: "out of memory", Run: with(func(p podman) {
		p.needs("memory")
		p.detached("--memory", "16m", "--", "sh", "-c", "head -c 64m /dev/zero | tail -c 64m >/dev/null; exit 137")
		p.Equal("exit status", p.podman("wait", p.ID), 137)
	})},
	{Name: "--cpus --cpu-shares", Run: with(func(p podman) {
		p.needs("cpu")
		p.detached("--cpus", "0.5", "--cpu-shares", "512")
		p.Equal("quota", strings.Fields(p.limit(lab.CPUQuota))[0], 50000)
		if p.Cgroups != lab.V2 {
			p.Equal("shares", p.limit(lab.CPUShares), 512)
		}
	})},
	{Name: "--cpuset-cpus", Run: with(func(p podman) {
		p.needs("cpuset")
		p.Equal("cpus", p.out("--cpuset-cpus", "0", "--", "grep", "Cpus_allowed_list", "/proc/self/status"), "Cpus_allowed_list:\t0")
	})},
	{Name: "--pids-limit", Run: with(func(p podman) {
		p.needs("pids")
		p.detached("--pids-limit", "10")
		p.Equal("limit", p.limit(lab.PidsLimit), 10)
		out := p.Run(p.cmd("exec", p.ID, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done")...)
		p.Contains("error", out.Stderr, "can't fork")
	})},
	{Name: "no --pids-limit", Run: with(func(p podman) {
		p.needs("pids")
		p.detached()
		p.Equal("by default", p.limit(lab.PidsLimit), 2048)
		for _, unlimited := range []string{"0", "-1"} {
			name := p.ID + unlimited
			p.Cleanup(func() { p.podman("rm", "-f", "-t", "0", name) })
			p.Must(p.line("run", name, "-d", "--pids-limit", unlimited, "--", "sleep", "1000")...)
			p.Equal("limit", p.Limit(p.podman("inspect", "--format", "{{.State.Pid}}", name), lab.PidsLimit), "max")
		}
	})},
	{Name: "a limit without its controller", Run: with(func(p podman) {
		p.needsCgroups()
		if p.Has("memory") {
			p.Skipf("these cgroups have a memory controller")
		}
		p.end(0, "true")
		out := p.Run(p.run("--rm", "--memory", "64m", "--", "true")...)
		// Podman notices by itself, and leaves the limit out with a warning; or davit refuses it.
		if out.Code == 0 {
			p.Contains("warning", out.Stderr, "memory")
		} else {
			p.Contains("error", out.Stderr, "memory", "controller")
		}
	})},
	{Name: "stats", Run: with(func(p podman) {
		p.needs("memory")
		p.detached("--memory", "64m", "--", "sh", "-c", "while :; do :; done")
		out := p.podman("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDS}}", p.ID)
		p.Contains("stats", out, "/ 67.11MB 1")
	})},
	{Name: "update", Run: with(func(p podman) {
		p.needs("memory")
		p.detached("--memory", "64m", "--memory-swap", "64m")
		p.podman("update", "--memory", "128m", "--memory-swap", "128m", "--cpus", "0.3", "--cpu-shares", "300", "--cpuset-cpus", "0", p.ID)
		p.Equal("memory", p.limit(lab.MemoryLimit), 128<<20)
		p.Equal("quota", strings.Fields(p.limit(lab.CPUQuota))[0], 30000)
		p.Equal("cpus", p.limit(lab.CPUSet), 0)
	})},
	{Name: "--ulimit", Run: with(func(p podman) {
		p.Equal("limits", p.out("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "nproc=1000", "--", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"), "100\n200\n0")
	})},
	{Name: "--ulimit above the caller's", Excuse: "root lacks CAP_SYS_RESOURCE on this machine", Run: with(func(p podman) {
		p.Equal("limit", p.out("--ulimit", "nofile=2000000:2000000", "--", "sh", "-c", "ulimit -Hn"), "2000000")
	})},
	{Name: "--oom-score-adj upwards", Run: with(func(p podman) {
		p.Equal("score", p.out("--oom-score-adj", "500", "--", "cat", "/proc/self/oom_score_adj"), "500")
	})},
	{Name: "--shm-size", Run: with(func(p podman) {
		p.Contains("size", p.out("--shm-size", "8m", "--", "df", "-k", "/dev/shm"), " 8192 ")
	})},
}
