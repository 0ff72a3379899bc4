package containerd

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/kubelet"
	"davit/tests/engines/lab"
)

func TestCRI(t *testing.T) {
	for _, r := range releases() {
		for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
			t.Run(r.name+"/"+string(cgroups), func(t *testing.T) {
				n := startCRI(t, r, cgroups)
				if r.sharesAlways && !n.Has("cpu") {
					t.Skipf("%s gives every sandbox CPU shares, and cgroup %s has no cpu controller here: no runtime can do that", n.Name, cgroups)
				}
				n.Scenarios(t)
			})
		}
	}
}

// startCRI runs containerd with two runtime handlers, as a kubelet's.
func startCRI(t *testing.T, r release, cgroups lab.Cgroups) *kubelet.Node {
	e, d := start(t, r, cgroups, criConfig)
	e.Name += ", CRI"
	e.Must(d.ctr("-n", "k8s.io", "image", "import", e.Image(kubelet.Image, "sh"))...)
	e.Must(d.ctr("-n", "k8s.io", "image", "import", e.Image(kubelet.PauseImage, kubelet.Pause()...))...)
	// containerd's own directories of pods, and the bridge's first use.
	e.Keeps = append(e.Keeps, "/run/netns")
	return &kubelet.Node{Engine: e, Socket: socket, Restart: func() {
		if err := d.Stop(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		d.run(t, e.Cell)
	}, Tidy: func() {}}
}

// criConfig is what docs/kubernetes.md tells to write, and what this laboratory needs besides.
func criConfig(c *lab.Cell, r release) string {
	c.Write("cni/10-bridge.conflist", kubelet.Bridge, 0o644)
	fill := strings.NewReplacer(
		"PAUSE", fmt.Sprintf("%q", kubelet.PauseImage), "NETWORKS", fmt.Sprintf("%q", c.Path("cni")),
		"DAVIT", fmt.Sprintf("%q", c.Recorder("davit")), "RUNC", fmt.Sprintf("%q", c.Recorder("runc")),
		"NOCGROUP", fmt.Sprint(c.Cgroups == lab.V2 && !c.Has("cpu")),
	)
	return fill.Replace(r.cri)
}
