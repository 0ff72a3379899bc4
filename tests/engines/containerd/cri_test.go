package containerd

import (
	"fmt"
	"syscall"
	"testing"

	"davit/tests/engines/lab"
)

func TestCRI(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) {
			e := startCRI(t, cgroups)
			e.Scenarios(t, podScenarios)
			e.Scenarios(t, processScenarios)
			e.Scenarios(t, securityScenarios)
			e.Scenarios(t, []lab.Scenario{restartScenario(t)})
		})
	}
}

const pauseImage = "davit.test/pause:latest"

// daemons are the containerds of the cells, for the scenario that restarts one.
var daemons = make(map[*lab.Cell]*containerd)

// startCRI runs containerd with two runtime handlers.
func startCRI(t *testing.T, cgroups lab.Cgroups) *lab.Engine {
	e := start(t, cgroups, criConfig)
	e.Name += ", CRI"
	e.Must("ctr", "-n", "k8s.io", "image", "import", e.Image(image, "sh"))
	e.Must("ctr", "-n", "k8s.io", "image", "import", e.Image(pauseImage, "sleep", "100000"))
	// containerd's own directories of pods, and the bridge's first use.
	e.Keeps = append(e.Keeps, "/run/netns")
	return e
}

// criConfig is what docs/kubernetes.md tells to write, and what this laboratory needs besides.
func criConfig(c *lab.Cell) string {
	c.Write("cni/10-bridge.conflist", `{"cniVersion": "0.4.0", "name": "bridge", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true,
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}`, 0o644)
	handler := func(name string) string {
		return fmt.Sprintf(`
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.%s]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.%s.options]
      BinaryName = %q
`, name, name, c.Recorder(name))
	}
	return fmt.Sprintf(`
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_cgroup = %t
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "davit"
`, pauseImage, c.Cgroups == lab.V2 && !c.Has("cpu"), c.Path("cni")) + handler("davit") + handler("runc")
}

// restartScenario ends containerd below its containers.
func restartScenario(t *testing.T) lab.Scenario {
	return lab.Scenario{Name: "containerd restarts below a container", Run: as(func(k kubelet) {
		p := k.pod()
		c := p.start(nil, "sleep", "1000")
		before := c.pid()
		d := daemons[k.Cell]
		if err := d.Stop(syscall.SIGKILL); err != nil {
			k.Fatalf("%v", err)
		}
		d.run(t, k.Cell)
		k.Equal("pid", c.pid(), before)
		k.Equal("output", c.out("echo", "still here"), "still here")
	})}
}
