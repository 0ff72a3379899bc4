package kubelet

import (
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"davit/tests/engines/lab"
)

var podScenarios = []scenario{
	{Name: "pod sandbox", Run: func(k kubelet) {
		p := k.pod()
		k.Equal("state", p.status().State, cri.PodSandboxState_SANDBOX_READY)
		if p.status().RuntimeHandler != "" { // CRI-O doesn't tell
			k.Equal("runtime", p.status().RuntimeHandler, k.Runtime)
		}
		k.Contains("address", p.status().Network.Ip, "10.88.")
		p.run(nil, "true") // where a sandbox needs no process it isn't the runtime's matter
		must(k.StopPodSandbox(k.ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.id}))(k)
		k.Equal("state", p.status().State, cri.PodSandboxState_SANDBOX_NOTREADY)
	}},
	{Name: "containers share the pod's namespaces", Run: func(k kubelet) {
		p := k.pod()
		one, two := p.start(nil, "sleep", "1000"), p.start(nil, "sleep", "1000")
		for ns, shared := range map[string]bool{"net": true, "ipc": true, "uts": true, "pid": false, "mnt": false} {
			link := "/proc/self/ns/" + ns
			k.Equal(ns+" is shared", one.out("readlink", link) == two.out("readlink", link), shared)
		}
		k.Equal("hostname", one.out("hostname"), p.config.Hostname)
		k.Contains("addresses", one.out("ip", "addr", "show", "eth0"), p.status().Network.Ip)
		p.start(nil, "nc", "-ll", "-p", "7000", "-e", "cat")
		k.Eventually("an answer over loopback", func() bool {
			return string(two.exec("sh", "-c", "echo hello | nc 127.0.0.1 7000").Stdout) == "hello\n"
		})
	}},
	{Name: "one pid namespace for the pod", Excuse: lab.NoResource, Run: func(k kubelet) {
		p := k.pod(func(c *cri.PodSandboxConfig) {
			c.Linux.SecurityContext.NamespaceOptions.Pid = cri.NamespaceMode_POD
		})
		one, two := p.start(nil, "sleep", "1111"), p.start(nil, "sleep", "2222")
		k.Contains("processes", two.out("ps"), "sleep 100000", "sleep 1111", "sleep 2222")
		k.Equal("namespaces", one.out("readlink", "/proc/self/ns/pid"), two.out("readlink", "/proc/self/ns/pid"))
	}},
	{Name: "the node's namespaces", Run: func(k kubelet) {
		p := k.pod(func(c *cri.PodSandboxConfig) {
			c.Hostname = ""
			c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{
				Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_NODE, Ipc: cri.NamespaceMode_NODE,
			}
		})
		c := p.start(nil, "sleep", "1000")
		for _, ns := range []string{"net", "pid", "ipc"} {
			k.Equal(ns, c.out("readlink", "/proc/self/ns/"+ns), k.Must("readlink", "/proc/self/ns/"+ns))
		}
	}},
	{Name: "sysctls", Run: func(k kubelet) {
		p := k.pod(func(c *cri.PodSandboxConfig) {
			c.Linux.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80", "kernel.msgmax": "9000"}
		})
		c := p.start(nil, "sleep", "1000")
		k.Equal("sysctls", c.out("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/msgmax"), "80\n9000")
	}},
	{Name: "two runtime classes side by side", Beside: true, Run: func(k kubelet) {
		if k.node.Systemd != nil {
			k.Skipf("runc asks systemd through a message bus, and its double has the private socket only")
		}
		for _, runtime := range []string{"davit", "runc"} {
			p := k.podOf(runtime)
			c := p.start(nil, "sleep", "1000")
			k.Equal("output", c.out("echo", runtime), runtime)
			made := 0
			for _, call := range k.Calls() {
				if strings.HasPrefix(call, runtime+" ") && strings.Contains(call, " create ") && strings.HasSuffix(call, c.id) {
					made++
				}
			}
			k.Equal("containers made by "+runtime, made, 1)
		}
	}},
	{Name: "limits", Run: func(k kubelet) {
		k.Needs("memory")
		p := k.pod()
		c := p.start(func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 512, MemoryLimitInBytes: 32 << 20, CpusetCpus: "0"}
		}, "sleep", "1000")
		k.Equal("memory", k.Limit(c.pid(), lab.MemoryLimit), 32<<20)
		k.Equal("quota", k.Limit(c.pid(), lab.CPUQuota), 50000)
		k.Equal("shares", k.Limit(c.pid(), lab.CPUShares), 512)
		k.Equal("cpus", k.Limit(c.pid(), lab.CPUSet), 0)
	}},
	{Name: "update of limits", Run: func(k kubelet) {
		k.Needs("memory")
		c := k.pod().start(func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{MemoryLimitInBytes: 32 << 20}
		}, "sleep", "1000")
		must(k.UpdateContainerResources(k.ctx, &cri.UpdateContainerResourcesRequest{ContainerId: c.id, Linux: &cri.LinuxContainerResources{
			CpuPeriod: 100000, CpuQuota: 20000, CpuShares: 300, MemoryLimitInBytes: 64 << 20, CpusetCpus: "1",
		}}))(k)
		k.Equal("memory", k.Limit(c.pid(), lab.MemoryLimit), 64<<20)
		k.Equal("quota", k.Limit(c.pid(), lab.CPUQuota), 20000)
		k.Equal("shares", k.Limit(c.pid(), lab.CPUShares), 300)
		k.Equal("cpus", k.Limit(c.pid(), lab.CPUSet), 1)
	}},
	{Name: "out of memory", Run: func(k kubelet) {
		k.Needs("memory")
		c := k.pod().start(func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{MemoryLimitInBytes: 16 << 20}
		}, "sh", "-c", "head -c 64m /dev/zero | tail -c 64m >/dev/null; exit 137")
		c.wait()
		k.Eventually("OOMKilled", func() bool { return c.state().Reason == "OOMKilled" })
	}},
	{Name: "stats", Run: func(k kubelet) {
		k.Needs("memory")
		if k.node.Systemd != nil && k.node.Scope == "crio" {
			k.Skipf("CRI-O reads stats where a real systemd would have made the cgroup, not below the double's")
		}
		c := k.pod().start(nil, "sh", "-c", "while :; do :; done")
		k.Eventually("usage", func() bool {
			stats := must(k.ContainerStats(k.ctx, &cri.ContainerStatsRequest{ContainerId: c.id}))(k).Stats
			return stats.GetCpu().GetUsageCoreNanoSeconds().GetValue() > 1e7 && stats.GetMemory().GetWorkingSetBytes().GetValue() > 0
		})
	}},
}
