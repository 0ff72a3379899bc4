// Package containerd tests davit below containerd: as ctr calls it, and as
// Kubernetes does, through the container runtime interface.
package containerd

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "containerd") }

const image = "davit.test/busybox:latest"

// start runs containerd in a cell. Its PATH begins with a directory where davit is called runc.
func start(t *testing.T, cgroups lab.Cgroups, config string) *lab.Engine {
	c := lab.NewCell(t, cgroups)
	c.Must("mkdir", c.Path("asrunc"))
	c.Must("ln", "-s", c.Recorder("davit"), c.Path("asrunc", "runc"))
	file := c.Write("containerd.toml", fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = %q
%s`, c.Path("containerd"), c.Path("opt"), config), 0o644)
	ready := func() bool { return c.Run("ctr", "--connect-timeout", "1s", "version").Code == 0 }
	d := c.Daemon("containerd", []string{"PATH=" + c.Path("asrunc") + ":/usr/sbin:/usr/bin:/sbin:/bin"}, ready, "containerd", "-c", file)
	t.Cleanup(func() {
		if err := d.Stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	version := strings.Fields(c.Must("containerd", "--version"))[2]
	return &lab.Engine{
		Cell: c, Name: "containerd " + version, Log: d.Tail,
		StateRoots: []string{"/run/containerd/runc/*", "/run/davit"},
		// The directory of all containers of a containerd namespace is containerd's own.
		Keeps: []string{"/" + c.Mark},
	}
}
