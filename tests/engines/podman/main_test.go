// Package podman tests davit below Podman: containers, pods, images and
// Kubernetes' YAML, as root and without.
package podman

import (
	"slices"
	"strings"
	"testing"

	"davit/tests/engines/containers"
	"davit/tests/engines/dockercli"
	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "podman") }

// start makes a cell where Podman works, for root or for an ordinary user.
func start(t *testing.T, cgroups lab.Cgroups, rootless bool) *lab.Engine {
	c := containers.Prepare(t, cgroups, rootless)
	c.Must(c.Client("podman"), "import", "--change", "ENV "+lab.ImagePath, "--change", `CMD ["sh"]`, c.Rootfs(), dockercli.Image)
	return c.Engine("Podman", "podman")
}

// dialect is how Podman speaks docker's command line.
func dialect(e *lab.Engine) *dockercli.Dialect {
	d := &dockercli.Dialect{
		Client:   func(runtime string) []string { return []string{e.Path("bin", "podman"), "--runtime", runtime} },
		Making:   making,
		Remove:   []string{"rm", "-f", "-v", "-t", "0"},
		Rootless: strings.HasSuffix(e.Name, "rootless"),
		Parent:   "/" + e.Mark,
		Refused:  126, ExecMissing: 127, WritableTmp: true,
		Init:         "/run/podman-init",
		Capabilities: 0x800405fb,
		Unmask:       "unmask=ALL",
		PidsLimit:    "2048",
		MemoryOf64m:  "67.11MB", PidsColumn: "PIDS",
		BuildFailed: "exit status 33",
		Lacks: map[string]string{
			"--domainname":        "Podman 4.3 has no such flag",
			"update --pids-limit": "Podman 4.3 has no such flag",
			"update --restart":    "Podman 4.3 has no such flag",
		},
		Excuses: map[string]string{},
	}
	d.Build = func(runtime string) []string { return append(d.Client(runtime), "build", "--network", "none") }
	if d.Rootless && e.Cgroups != lab.V2 {
		d.Uncaged = "Podman without root uses cgroups on version 2 only"
	}
	if d.Rootless {
		d.Parent = containers.UserCgroup(e.Cell)
		d.Excuses["network connect and disconnect"] = "Podman 4.3 takes all devices from an ordinary user's container"
		d.Excuses["--ipc host"] = "Podman binds the host's /dev/mqueue for ordinary users, and this machine has none"
	}
	return d
}

// making has the flags that are needed on this kind of machine.
func making(c dockercli.C, flags []string) []string {
	var more []string
	if !slices.Contains(flags, "--network") && !slices.Contains(flags, "--pod") {
		more = append(more, "--network", "none")
	}
	if !c.Rootless && !slices.Contains(flags, "--pod") && !slices.Contains(flags, "--cgroup-parent") && !slices.Contains(flags, "disabled") {
		more = append(more, "--cgroup-parent", "/"+c.Mark)
	}
	if c.Cgroups == lab.V2 && !c.Has("pids") && !slices.Contains(flags, "--pids-limit") {
		more = append(more, "--pids-limit", "0") // Podman sets one by itself
	}
	return more
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
	dockercli.Run(t, e, dialect(e), slices.Concat(dockercli.Common(), containerScenarios, usernsScenarios, podScenarios)...)
	dockercli.Measure(t, e, dialect(e), "podman run --rm --network none IMAGE /bin/true")
}
