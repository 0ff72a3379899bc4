// Package docker tests davit below Docker: containers, builds, networks,
// volumes, a swarm and compose, with the daemon's own containerd.
package docker

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "docker") }

const (
	image  = "davit.test/busybox:latest"
	client = "/usr/bin/docker"
)

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
	c.Must(client, "import", "--change", "ENV "+lab.ImagePath, "--change", `CMD ["sh"]`, c.Rootfs(), image)
	return &lab.Engine{
		Cell: c, Name: "Docker " + c.Must(client, "version", "--format", "{{.Server.Version}}"), Log: func() string { return d.Tail() },
		StateRoots: []string{"/run/docker/runtime-*/moby", "/run/davit"},
		// The namespace of containers on the host's network, and the parent of all containers, are the daemon's own.
		Keeps: []string{"/run/docker/netns/default", "/" + c.Mark},
	}, d
}

// docker is a scenario that uses the docker command.
type docker struct{ *lab.S }

func with(f func(docker)) func(*lab.S) { return func(s *lab.S) { f(docker{s}) } }

func (d docker) cmd(args ...string) []string { return append([]string{client}, args...) }

// run makes a command line of docker run, with flags that end with "--" before the command.
func (d docker) run(args ...string) []string {
	flags, command := split(args)
	line := append(d.cmd("run", "--runtime", d.Runtime, "--name", d.ID), flags...)
	return append(append(line, image), command...)
}

// split parts flags from a command: at "--", or by what the first one looks like.
func split(args []string) (flags, command []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:]
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		return args, nil
	}
	return nil, args
}

// out runs a container to its end, which has to be a good one, and returns its output.
func (d docker) out(args ...string) string { return d.end(0, args...).Out() }

// end runs a container to its end, which has to be with this status.
func (d docker) end(status int, args ...string) lab.Output {
	flags, command := split(args)
	return d.Want(status, d.run(append(append([]string{"--rm"}, flags...), append([]string{"--"}, command...)...)...)...)
}

// detached starts a container that the scenario's end removes.
func (d docker) detached(args ...string) {
	flags, command := split(args)
	if len(command) == 0 {
		command = []string{"sleep", "1000"}
	}
	d.Cleanup(func() { d.docker("rm", "-f", "-v", d.ID) })
	d.Must(d.run(append(append([]string{"-d"}, flags...), append([]string{"--"}, command...)...)...)...)
}

// docker runs a docker command that has to succeed.
func (d docker) docker(args ...string) string { return d.Must(d.cmd(args...)...) }

// inspect shows something of the container, by a template.
func (d docker) inspect(format string) string {
	return d.docker("inspect", "--format", format, d.ID)
}

// exec runs a command in the container that has to succeed.
func (d docker) exec(args ...string) string {
	flags, command := split(args)
	return d.docker(append(append(append([]string{"exec"}, flags...), d.ID), command...)...)
}

func TestDocker(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) {
			e, _ := start(t, cgroups)
			for _, table := range [][]lab.Scenario{runScenarios, lifeScenarios, limitScenarios, isolationScenarios, networkScenarios, imageScenarios} {
				e.Scenarios(t, table)
			}
			measure(t, e)
		})
	}
}

func measure(t *testing.T, e *lab.Engine) {
	runtimes := []string{"davit", "runc"}
	if e.Cgroups == lab.V1 && e.Direct("crun") != "" {
		runtimes = append(runtimes, "crun") // refuses hybrid cgroups, and has no device rules on version 2 without CAP_SYS_RESOURCE
	}
	for _, network := range []string{"none", "bridge"} {
		e.Measure(t, "docker run --rm --network "+network+" IMAGE /bin/true", lab.Rounds(), runtimes, func(runtime string) error {
			out := e.Run(client, "run", "--rm", "--network", network, "--runtime", runtime+"-itself", image, "/bin/true")
			if out.Code != 0 {
				return fmt.Errorf("%s: %v", runtime, out)
			}
			return nil
		})
	}
}
