// Package podman tests davit below Podman: containers, pods, images and
// Kubernetes' YAML, as root and without.
package podman

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"davit/tests/engines/containers"
	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "podman") }

const image = "davit.test/busybox:latest"

// start makes a cell where Podman works, for root or for an ordinary user.
func start(t *testing.T, cgroups lab.Cgroups, rootless bool) *lab.Engine {
	c := containers.Prepare(t, cgroups, rootless)
	c.Must(c.Client("podman"), "import", "--change", "ENV "+lab.ImagePath, "--change", `CMD ["sh"]`, c.Rootfs(), image)
	return c.Engine("Podman", "podman")
}

// podman is a scenario that uses the podman command.
type podman struct{ *lab.S }

func with(f func(podman)) func(*lab.S) { return func(s *lab.S) { f(podman{s}) } }

func (p podman) rootless() bool { return strings.HasSuffix(p.Name, "rootless") }

func (p podman) cmd(args ...string) []string {
	return append([]string{p.Path("bin", "podman"), "--runtime", p.Runtime}, args...)
}

// podman runs a podman command that has to succeed.
func (p podman) podman(args ...string) string { return p.Must(p.cmd(args...)...) }

// line makes a command line of podman create or run, with flags that end with
// "--" before the command, and with those that are needed on this kind of machine.
func (p podman) line(verb, name string, args ...string) []string {
	flags, command := split(args)
	line := p.cmd(verb, "--name", name)
	if !slices.Contains(flags, "--network") && !slices.Contains(flags, "--pod") {
		line = append(line, "--network", "none")
	}
	if !p.rootless() && !slices.Contains(flags, "--pod") {
		line = append(line, "--cgroup-parent", "/"+p.Mark)
	}
	if p.Cgroups == lab.V2 && !p.Has("pids") && !slices.Contains(flags, "--pids-limit") {
		line = append(line, "--pids-limit", "0") // Podman sets one by itself
	}
	line = append(line, flags...)
	if !slices.Contains(flags, "--rootfs") {
		line = append(line, image)
	}
	return append(line, command...)
}

// run makes a command line for the scenario's own container.
func (p podman) run(args ...string) []string { return p.line("run", p.ID, args...) }

// other runs one more container to its end, and returns its output.
func (p podman) other(args ...string) string {
	return p.Must(p.line("run", p.ID+"-other", append([]string{"--rm"}, args...)...)...)
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
func (p podman) out(args ...string) string { return p.end(0, args...).Out() }

// end runs a container to its end, which has to be with this status.
func (p podman) end(status int, args ...string) lab.Output {
	flags, command := split(args)
	return p.Want(status, p.run(append(append([]string{"--rm"}, flags...), append([]string{"--"}, command...)...)...)...)
}

// detached starts a container that the scenario's end removes.
func (p podman) detached(args ...string) {
	flags, command := split(args)
	if len(command) == 0 {
		command = []string{"sleep", "1000"}
	}
	p.Cleanup(func() { p.podman("rm", "-f", "-v", "-t", "0", p.ID) })
	p.Must(p.run(append(append([]string{"-d"}, flags...), append([]string{"--"}, command...)...)...)...)
}

// inspect shows something of the container, by a template.
func (p podman) inspect(format string) string {
	return p.podman("inspect", "--format", format, p.ID)
}

// exec runs a command in the container that has to succeed.
func (p podman) exec(args ...string) string {
	flags, command := split(args)
	return p.podman(append(append(append([]string{"exec"}, flags...), p.ID), command...)...)
}

// made tells whether a file is there in the container.
func (p podman) made(file string) bool {
	return p.Run(p.cmd("exec", p.ID, "test", "-e", file)...).Code == 0
}

func TestPodman(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) { everything(t, start(t, cgroups, false)) })
	}
}

func TestRootless(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) { everything(t, start(t, cgroups, true)) })
	}
}

func everything(t *testing.T, e *lab.Engine) {
	for _, table := range [][]lab.Scenario{runScenarios, lifeScenarios, limitScenarios, isolationScenarios, podScenarios, buildScenarios} {
		e.Scenarios(t, table)
	}
	measure(t, e)
}

func measure(t *testing.T, e *lab.Engine) {
	var runtimes []string
	for _, r := range lab.Runtimes() {
		refuses := r == "crun" && e.Cgroups != lab.V1 // hybrid cgroups; version 2's device rules without CAP_SYS_RESOURCE
		if e.Direct(r) != "" && !refuses {
			runtimes = append(runtimes, r)
		}
	}
	e.Measure(t, "podman run --rm --network none IMAGE /bin/true", lab.Rounds(), runtimes, func(runtime string) error {
		p := podman{&lab.S{Engine: e, Runtime: runtime + "-itself", ID: "measured"}}
		if out := p.Run(p.run("--rm", "--", "/bin/true")...); out.Code != 0 {
			return fmt.Errorf("%s: %v", runtime, out)
		}
		return nil
	})
}
