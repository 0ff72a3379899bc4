// Package docker tests davit below Docker: containers, builds, networks,
// volumes, a swarm and compose, with the daemon's own containerd.
package docker

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/dockercli"
	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "docker") }

const client = "/usr/bin/docker"

// daemon is a dockerd that runs in a cell.
type daemon struct {
	*lab.Daemon
	flags []string
}

func (d *daemon) run(t *testing.T, c *lab.Cell) {
	args := append([]string{
		"dockerd", "--data-root", c.Path("docker"), "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--config-file", c.Path("daemon.json"),
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/" + c.Mark, "--default-runtime", "davit",
	}, d.flags...)
	d.Daemon = c.Daemon("dockerd", nil, func() bool { return c.Run(client, "info").Code == 0 }, args...)
}

// start makes a cell and runs dockerd in it, with more flags.
func start(t *testing.T, cgroups lab.Cgroups, flags ...string) (*lab.Engine, *daemon) {
	c := lab.NewCell(t, cgroups)
	// What docs/engines/docker.md tells to write, and runtimes to measure with.
	var runtimes []string
	for _, r := range lab.Runtimes() {
		if r != "runc" { // Docker knows that by itself
			runtimes = append(runtimes, fmt.Sprintf("%q: {\"path\": %q}", r, c.Recorder(r)))
		}
		if path := c.Direct(r); path != "" {
			runtimes = append(runtimes, fmt.Sprintf("%q: {\"path\": %q}", r+"-itself", path))
		}
	}
	c.Write("daemon.json", fmt.Sprintf(`{"runtimes": {%s}}`, strings.Join(runtimes, ", ")), 0o644)
	d := &daemon{flags: flags}
	d.run(t, c)
	t.Cleanup(func() {
		if err := d.Stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	c.Must(client, "import", "--change", "ENV "+lab.ImagePath, "--change", `CMD ["sh"]`, c.Rootfs(), dockercli.Image)
	return &lab.Engine{
		Cell: c, Name: "Docker " + c.Must(client, "version", "--format", "{{.Server.Version}}"), Log: func() string { return d.Tail() },
		StateRoots: []string{"/run/docker/runtime-*/moby", "/run/davit"},
		// The namespace of containers on the host's network, and the parent of all containers, are the daemon's own.
		Keeps: []string{"/run/docker/netns/default", "/" + c.Mark},
	}, d
}

// dialect is how Docker speaks its own command line.
func dialect(e *lab.Engine) *dockercli.Dialect {
	return &dockercli.Dialect{
		Client: func(string) []string { return []string{client} },
		Making: func(c dockercli.C, _ []string) []string { return []string{"--runtime", c.Runtime} },
		Remove: []string{"rm", "-f", "-v"},
		Build: func(runtime string) []string {
			if runtime != "davit" {
				return nil
			}
			return []string{"env", "DOCKER_BUILDKIT=0", client, "build"} // by the daemon, not by a plugin
		},
		Parent:  "/" + e.Mark,
		Refused: 125, ExecMissing: 126, AttachStatus: true, Timers: true, TellsOOM: true, Resolves: true,
		Init:         "/sbin/docker-init",
		Capabilities: 0xa80425fb,
		Unmask:       "systempaths=unconfined",
		PidsLimit:    "max",
		MemoryOf64m:  "64MiB", PidsColumn: "PIDs",
		BuildFailed: "returned a non-zero code: 33",
	}
}

func TestDocker(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) {
			e, _ := start(t, cgroups)
			dockercli.Run(t, e, dialect(e), dockercli.Common()...)
			for _, network := range []string{"none", "bridge"} {
				dockercli.Measure(t, e, dialect(e), "docker run --rm --network "+network+" IMAGE /bin/true", "--network", network)
			}
		})
	}
}
