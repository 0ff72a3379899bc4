// Package containerd tests davit below containerd: as ctr calls it, and as
// Kubernetes does, through the container runtime interface.
package containerd

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "containerd") }

// containerd is one that runs in a cell.
type containerd struct {
	*lab.Daemon
	release
	config string
}

// program is the path of one of the release.
func (d *containerd) program(name string) string { return filepath.Join(d.bin, name) }

// run starts the daemon. Its PATH begins with a directory where davit is called runc.
func (d *containerd) run(t *testing.T, c *lab.Cell) {
	ready := func() bool { return c.Run(d.ctr("--connect-timeout", "1s", "version")...).Code == 0 }
	env := []string{"PATH=" + c.Path("asrunc") + ":" + d.bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	d.Daemon = c.Daemon("containerd", env, ready, d.program("containerd"), "-c", d.config)
}

// ctr is a command line of the release's ctr.
func (d *containerd) ctr(args ...string) []string {
	return append([]string{d.program("ctr")}, args...)
}

// start makes a cell and runs containerd in it, with what more makes of the release's configuration.
func start(t *testing.T, r release, cgroups lab.Cgroups, more func(*lab.Cell, release) string) (*lab.Engine, *containerd) {
	c := lab.NewCell(t, cgroups)
	c.Must("mkdir", c.Path("asrunc"))
	c.Must("ln", "-s", c.Recorder("davit"), c.Path("asrunc", "runc"))
	fill := strings.NewReplacer("ROOT", fmt.Sprintf("%q", c.Path("containerd")), "OPT", fmt.Sprintf("%q", c.Path("opt")), "REST", more(c, r))
	d := &containerd{release: r, config: c.Write("containerd.toml", fill.Replace(r.config), 0o644)}
	d.run(t, c)
	t.Cleanup(func() {
		if err := d.Stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	version := strings.TrimPrefix(strings.Fields(c.Must(d.program("containerd"), "--version"))[2], "v")
	return &lab.Engine{
		Cell: c, Name: "containerd " + version, Log: func() string { return d.Tail() },
		StateRoots: []string{"/run/containerd/runc/*", "/run/davit"},
		// The directory of all containers of a containerd namespace is containerd's own.
		Keeps: []string{"/" + c.Mark},
	}, d
}
