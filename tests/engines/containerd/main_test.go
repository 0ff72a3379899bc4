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

// containerd is one that runs in a cell.
type containerd struct {
	*lab.Daemon
	config string
}

// run starts the daemon. Its PATH begins with a directory where davit is called runc.
func (d *containerd) run(t *testing.T, c *lab.Cell) {
	ready := func() bool { return c.Run("ctr", "--connect-timeout", "1s", "version").Code == 0 }
	env := []string{"PATH=" + c.Path("asrunc") + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	d.Daemon = c.Daemon("containerd", env, ready, "containerd", "-c", d.config)
}

// start makes a cell and runs containerd in it, with some more configuration.
func start(t *testing.T, cgroups lab.Cgroups, config func(*lab.Cell) string) *lab.Engine {
	c := lab.NewCell(t, cgroups)
	c.Must("mkdir", c.Path("asrunc"))
	c.Must("ln", "-s", c.Recorder("davit"), c.Path("asrunc", "runc"))
	d := &containerd{config: c.Write("containerd.toml", fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
%s
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = %q
`, c.Path("containerd"), config(c), c.Path("opt")), 0o644)}
	d.run(t, c)
	daemons[c] = d
	t.Cleanup(func() {
		if err := d.Stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	version := strings.Fields(c.Must("containerd", "--version"))[2]
	return &lab.Engine{
		Cell: c, Name: "containerd " + version, Log: func() string { return d.Tail() },
		StateRoots: []string{"/run/containerd/runc/*", "/run/davit"},
		// The directory of all containers of a containerd namespace is containerd's own.
		Keeps: []string{"/" + c.Mark},
	}
}
