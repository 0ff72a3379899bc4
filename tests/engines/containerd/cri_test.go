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
			t.Run(r.name+"/"+string(cgroups), func(t *testing.T) { startCRI(t, r, cgroups, false).Scenarios(t) })
		}
		t.Run(r.name+"/systemd", func(t *testing.T) { startCRI(t, r, lab.Hybrid, true).Scenarios(t) })
	}
}

// startCRI runs containerd with two runtime handlers, as a kubelet's, with the cgroup driver cgroupfs or systemd.
func startCRI(t *testing.T, r release, cgroups lab.Cgroups, systemd bool) *kubelet.Node {
	n := &kubelet.Node{Socket: socket, Scope: "cri-containerd", Tidy: func() {}}
	e, d := start(t, r, cgroups, func(c *lab.Cell, r release) string {
		if systemd {
			n.Systemd = kubelet.StartUnits(t, c)
		}
		return criConfig(c, r, systemd)
	})
	if r.sharesAlways && !e.Has("cpu") {
		t.Skipf("%s gives every sandbox CPU shares, and cgroup %s has no cpu controller here: no runtime can do that", e.Name, cgroups)
	}
	e.Name += ", CRI"
	if systemd {
		e.Name += ", systemd cgroups"
		e.Keeps = append(e.Keeps, "/davitpods.slice")
		n.Tidy = func() { kubelet.RemoveSlices(e.Cell) }
	}
	e.Must(d.ctr("-n", "k8s.io", "image", "import", e.Image(kubelet.Image, "sh"))...)
	e.Must(d.ctr("-n", "k8s.io", "image", "import", e.Image(kubelet.PauseImage, kubelet.Pause()...))...)
	// containerd's own directories of pods, and the bridge's first use.
	e.Keeps = append(e.Keeps, "/run/netns")
	n.Engine, n.Restart = e, func() {
		if err := d.Stop(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		d.run(t, e.Cell)
	}
	return n
}

// criConfig is what docs/kubernetes.md tells to write, and what this laboratory needs besides.
func criConfig(c *lab.Cell, r release, systemd bool) string {
	c.Write("cni/10-bridge.conflist", kubelet.Bridge, 0o644)
	fill := strings.NewReplacer(
		"PAUSE", fmt.Sprintf("%q", kubelet.PauseImage), "NETWORKS", fmt.Sprintf("%q", c.Path("cni")),
		"DAVIT", fmt.Sprintf("%q", c.Recorder("davit")), "RUNC", fmt.Sprintf("%q", c.Recorder("runc")),
		"SYSTEMD", fmt.Sprint(systemd), "NOCGROUP", fmt.Sprint(c.Cgroups == lab.V2 && !c.Has("cpu")),
	)
	return fill.Replace(r.cri)
}
