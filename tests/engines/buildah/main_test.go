// Package buildah tests davit below Buildah, as root and without.
package buildah

import (
	"strings"
	"testing"

	"davit/tests/engines/containers"
	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "buildah") }

const image = "davit.test/busybox:latest"

func start(t *testing.T, cgroups lab.Cgroups, rootless bool) *lab.Engine {
	c := containers.Prepare(t, cgroups, rootless)
	client := c.Client("buildah")
	id := c.Must(client, "from", "scratch")
	c.Must(client, "add", "--quiet", id, c.Rootfs(), "/")
	c.Must(client, "config", "--env", lab.ImagePath, "--cmd", "sh", id)
	c.Must(client, "commit", "--quiet", "--rm", id, image)
	return c.Engine("Buildah", "buildah")
}

// buildah is a scenario that uses the buildah command.
type buildah struct{ *lab.S }

func with(f func(buildah)) func(*lab.S) { return func(s *lab.S) { f(buildah{s}) } }

func (b buildah) cmd(args ...string) []string {
	return append([]string{b.Path("bin", "buildah")}, args...)
}

// buildah runs a buildah command that has to succeed.
func (b buildah) buildah(args ...string) string { return b.Must(b.cmd(args...)...) }

// cgroup is the flag for a parent that the cell removes.
func (b buildah) cgroup() []string {
	if strings.HasSuffix(b.Name, "rootless") {
		return nil // it has none then
	}
	return []string{"--cgroup-parent", "/" + b.Mark}
}

// bud makes the command line of a build from this Dockerfile, behind FROM.
func (b buildah) bud(flags []string, lines ...string) []string {
	b.Write("tmp/"+b.ID+"/Dockerfile", "FROM "+image+"\n"+strings.Join(lines, "\n")+"\n", 0o644)
	line := append(b.cmd("bud", "--runtime", b.Binary(), "--network", "none", "-t", "davit.test/"+b.ID), b.cgroup()...)
	return append(append(line, flags...), b.Path("tmp", b.ID))
}

// built removes what bud makes.
func (b buildah) built() { b.Cleanup(func() { b.buildah("rmi", "-f", "davit.test/"+b.ID) }) }

// from makes a working container that the scenario's end removes.
func (b buildah) from(image string) string {
	name := b.ID + "-container"
	b.buildah(append(append([]string{"from", "--name", name}, b.cgroup()...), image)...)
	b.Cleanup(func() { b.buildah("rm", name) })
	return name
}

// run makes the command line of a command in a working container.
func (b buildah) run(name string, flags []string, command ...string) []string {
	line := append(b.cmd("run", "--runtime", b.Binary(), "--network", "none"), flags...)
	return append(append(line, name, "--"), command...)
}

func TestBuildah(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) { start(t, cgroups, false).Scenarios(t, scenarios) })
	}
}

func TestRootless(t *testing.T) {
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) { start(t, cgroups, true).Scenarios(t, scenarios) })
	}
}
