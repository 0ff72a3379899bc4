package rootless

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// nest is a container with davit and a bundle in it, from which containers are made.
type nest struct {
	*harness.Sandbox
	user []string // flags of exec that say who runs davit inside
	root string   // davit's --root inside
	box  string   // the inner container's id
}

// engine is what an engine in a container is given: all that its user namespace can give, nothing masked, its cgroup writable.
func engine(c *specs.Spec) {
	c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = nil, nil
	c.Process.NoNewPrivileges = false
	for i := range c.Mounts {
		if c.Mounts[i].Destination == "/sys/fs/cgroup" {
			c.Mounts[i].Options = []string{"nosuid", "noexec", "nodev", "relatime", "rw"}
		}
		if c.Mounts[i].Destination == "/sys" && c.Mounts[i].Type == "sysfs" {
			c.Mounts[i].Options = []string{"nosuid", "noexec", "nodev"}
		}
	}
	harness.AllCapabilities()(c)
	harness.Mount(specs.Mount{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=1777"}})(c)
	harness.Args("/bin/sleep", "1000")(c)
}

// newNest makes the inner bundle in a sandbox and starts its container.
func newNest(t *testing.T, s *harness.Sandbox, inner *specs.Spec) *nest {
	t.Helper()
	must(t, copyFile(harness.Binary(t), s.Path("davit")))
	harness.CopyRootfs(t, s.Path("inner/rootfs"))
	n := &nest{Sandbox: s, root: "/run/state", box: "box-in-" + s.ID}
	n.write(inner)
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	s.Davit("start", s.ID).Succeeds()
	return n
}

func (n *nest) write(inner *specs.Spec) {
	n.T.Helper()
	data, err := json.Marshal(inner)
	must(n.T, err)
	must(n.T, os.WriteFile(n.Path("inner/config.json"), data, 0o644))
}

// command is davit's inside.
func (n *nest) command(args ...string) *harness.Cmd {
	n.T.Helper()
	line := append([]string{"exec"}, n.user...)
	return n.Command(append(append(line, n.ID, "/davit", "--root", n.root), args...)...)
}

func (n *nest) davit(args ...string) *harness.Result { n.T.Helper(); return n.command(args...).Do() }

// innerSpec is the configuration of a container in a container.
func innerSpec(edits ...harness.Edit) *specs.Spec {
	c := harness.BaseSpec("")
	for _, e := range append(edits, harness.Args("/bin/sleep", "1000")) {
		e(c)
	}
	return c
}

// life is all that an engine inside does with a container.
func (n *nest) life(t *testing.T) {
	t.Helper()
	n.davit("create", "--bundle", "/inner", n.box).Succeeds()
	n.davit("start", n.box).Succeeds()
	x := n.davit("exec", n.box, "/bin/sh", "-c", "cat /proc/1/comm; id -u; echo x >/dev/null; head -c 3 /dev/zero | wc -c; mount | grep -c ' /proc '")
	if x.Succeeds(); fields(x.Stdout()) != "sleep 0 3 1" {
		t.Errorf("inside of the inner container: %s%s", x.Stdout(), x.Stderr())
	}
	if ps := n.davit("ps", "--format", "json", n.box); ps.Code != 0 || strings.Count(ps.Stdout(), ",") != 0 {
		t.Errorf("ps: %s%s", ps.Stdout(), ps.Stderr())
	}
	if list := n.davit("list", "--quiet"); list.Stdout() != n.box+"\n" {
		t.Errorf("list: %s%s", list.Stdout(), list.Stderr())
	}
	n.davit("kill", n.box, "KILL").Succeeds()
	harness.Eventually(t, "the inner container's end", func() bool { return strings.Contains(n.davit("state", n.box).Stdout(), `"stopped"`) })
	n.davit("delete", n.box).Succeeds()
	n.davit("create", "--bundle", "/inner", n.box).Succeeds()
	n.davit("delete", "--force", n.box).Succeeds()
	if left := n.Davit("exec", n.ID, "/bin/sh", "-c", "grep -c inner/rootfs /proc/self/mountinfo; find /sys/fs/cgroup -name '*"+n.box+"*'; ls "+n.root+" | grep -v @"); fields(left.Stdout()) != "0" {
		t.Errorf("in the outer container is left: %s", left.Stdout())
	}
}

// terminal runs the inner container on a terminal in the outer one.
func (n *nest) terminal(t *testing.T, inner *specs.Spec) {
	t.Helper()
	inner.Process.Terminal, inner.Process.Args = true, []string{"/bin/sh"}
	n.write(inner)
	line := append([]string{"exec", "-t"}, n.user...)
	c := n.Command(append(line, n.ID, "/davit", "--root", n.root, "run", "--bundle", "/inner", n.box)...)
	term := c.OnTerminal(33, 99)
	c.Begin()
	term.Type("echo on $(tty); stty size; exit 5\n")
	term.Expect("on /dev/pts/0")
	term.Expect("33 99")
	if r := c.End(); r.Code != 5 {
		t.Errorf("run on a terminal ended with %d: %s", r.Code, term.Text())
	}
}

// nests are containers in containers, with the user namespaces of each.
func nests() map[string]struct {
	outer func(t *testing.T) *harness.Sandbox
	inner []harness.Edit
} {
	root := func(edits ...harness.Edit) func(t *testing.T) *harness.Sandbox {
		return func(t *testing.T) *harness.Sandbox { return harness.New(t, append(edits, engine)...) }
	}
	mapped := func(t *testing.T) *harness.Sandbox {
		s := harness.New(t, harness.UserNamespace(300000, subCount), engine)
		return s
	}
	users := func(t *testing.T) *harness.Sandbox { return skipper.sandbox(t, skipper.subordinate(), engine) }
	return map[string]struct {
		outer func(t *testing.T) *harness.Sandbox
		inner []harness.Edit
	}{
		"root in root":                             {root(), nil},
		"user namespace in root":                   {root(), []harness.Edit{harness.UserNamespace(200000, 1000)}},
		"root in a user namespace":                 {mapped, nil},
		"user namespace in a user namespace":       {mapped, []harness.Edit{harness.UserNamespace(1000, 1000)}},
		"root in a user's container":               {users, nil},
		"user namespace in a user's container":     {users, []harness.Edit{harness.UserNamespace(1000, 1000)}},
		"own network namespace of a user's":        {users, []harness.Edit{harness.Namespace(specs.NetworkNamespace, "")}},
		"host's network in a user namespace's pod": {mapped, []harness.Edit{harness.WithoutNamespace(specs.NetworkNamespace)}},
	}
}

// Containers in containers.
func TestNested(t *testing.T) {
	for name, c := range nests() {
		t.Run(name, func(t *testing.T) {
			inner := innerSpec(c.inner...)
			s := c.outer(t)
			own(t, s)
			n := newNest(t, s, inner)
			n.life(t)
			n.terminal(t, inner)
		})
	}
}

// own gives the files of a container to its root.
func own(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	if m := s.Spec.Linux.UIDMappings; len(m) > 0 {
		(&account{uid: int(m[0].HostID)}).own(t, s.Rootfs)
	}
}

func TestNestedOtherLayouts(t *testing.T) {
	for _, layout := range []harness.Layout{harness.V1, harness.V2} {
		t.Run(string(layout), func(t *testing.T) { harness.InLayout(t, layout, "^TestNested$") })
	}
}

// In a container as engines make them, with its /proc masked: containers without a user namespace work, and for one with it the error says what to try.
func TestNestedInMasked(t *testing.T) {
	t.Parallel()
	masked := func(c *specs.Spec) {
		base := harness.BaseSpec("")
		engine(c)
		c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = base.Linux.MaskedPaths, base.Linux.ReadonlyPaths
	}
	bound := []harness.Edit{harness.UserNamespace(200000, 1000), harness.WithoutMount("/proc"), harness.WithoutMount("/sys"), harness.WithoutMount("/sys/fs/cgroup"),
		func(c *specs.Spec) {
			c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = nil, nil
			c.Mounts = append([]specs.Mount{{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind", "nosuid", "noexec", "nodev"}}}, c.Mounts...)
		}}
	t.Run("without a user namespace", func(t *testing.T) {
		newNest(t, harness.New(t, masked), innerSpec()).life(t)
	})
	t.Run("with a user namespace", func(t *testing.T) {
		n := newNest(t, harness.New(t, masked), innerSpec(harness.UserNamespace(200000, 1000)))
		n.davit("run", "--bundle", "/inner", n.box).Fails("mounts[0] (/proc)", "systempaths=unconfined", "procMount: Unmasked", "rbind")
		// What the error proposes.
		n.write(innerSpec(bound...))
		n.davit("create", "--bundle", "/inner", n.box).Succeeds()
		n.davit("start", n.box).Succeeds()
		n.davit("exec", n.box, "/bin/sh", "-c", "id -u && cat /proc/uptime >/dev/null").Succeeds()
		n.davit("delete", "--force", n.box).Succeeds()
	})
	t.Run("with masked paths of its own over those", func(t *testing.T) {
		s := harness.New(t, masked)
		newNest(t, s, innerSpec(func(c *specs.Spec) { c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/proc/fs", "/proc/driver") })).life(t)
	})
}

// An ordinary user inside a container of root's, with nothing but his own id.
func TestNestedUserInRoot(t *testing.T) {
	t.Parallel()
	alone := func(c *specs.Spec) {
		harness.UserNamespace(1000, 1)(c)
		harness.WithoutMount("/dev/pts")(c)
		harness.Mount(specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666"}})(c)
	}
	inner := innerSpec(alone)
	s := harness.New(t, engine)
	harness.Tool(t, "mkdir", "-p", s.Path("inner"))
	harness.Tool(t, "chmod", "755", s.Path("inner"))
	n := newNest(t, s, inner)
	(&account{uid: 1000}).own(t, s.Path("inner"))
	n.user, n.root = []string{"--user", "1000:1000"}, "/run/of-alice"
	n.life(t)
	n.terminal(t, inner)
}

// A seccomp profile of another time around davit: its calls don't exist, and the error says that it may be the profile.
func TestNestedInOldProfile(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"clone3", "openat2", "open_tree", "fsopen"} {
		s := harness.New(t, engine, func(c *specs.Spec) {
			c.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{call}, Action: specs.ActErrno, ErrnoRet: harness.Pointer(uint(38))}}} // ENOSYS
		})
		n := newNest(t, s, innerSpec())
		n.davit("run", "--bundle", "/inner", n.box).Fails("seccomp profile")
	}
}
