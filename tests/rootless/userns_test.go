package rootless

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// mapped gives a container a new user namespace.
func mapped(maps ...specs.LinuxIDMapping) harness.Edit {
	return func(c *specs.Spec) {
		harness.Namespace(specs.UserNamespace, "")(c)
		c.Linux.UIDMappings, c.Linux.GIDMappings = maps, maps
		harness.WithoutMount("/dev/pts")(c) // whose gid=5 may not be mapped
	}
}

// many are n mappings of one id each, with holes between.
func many(n uint32) []specs.LinuxIDMapping {
	maps := make([]specs.LinuxIDMapping, n)
	for i := range maps {
		maps[i] = specs.LinuxIDMapping{ContainerID: uint32(i) * 3, HostID: 1000 + uint32(i)*2, Size: 1}
	}
	return maps
}

// Root maps what it likes: many lines, holes, any order; and the kernel's limits are named.
func TestMappings(t *testing.T) {
	t.Parallel()
	s := harness.New(t, mapped(many(300)...), harness.Shell("wc -l </proc/self/uid_map; wc -l </proc/self/gid_map; id -u; cat /proc/self/setgroups"))
	if got := fields(s.Output()); got != "300 300 0 allow" {
		t.Errorf("got %s", got)
	}
	// An id in a hole is nobody's.
	s.Run(harness.User(1, 0)).Fails("process.user.uid", "1")
	s.Run(harness.User(0, 2)).Fails("process.user.gid", "2")
	s.Run(harness.User(0, 0, 4)).Fails("process.user.additionalGids")
	out := s.Sh("id -u; id -g; id -G", harness.User(3, 6, 9, 897))
	if fields(out) != "3 6 6 9 897" {
		t.Errorf("ids are %s", fields(out))
	}

	// Beyond five lines the kernel keeps a map sorted: root needs not to be the first.
	backwards := many(20)
	for i, j := 0, len(backwards)-1; i < j; i, j = i+1, j-1 {
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	harness.New(t, mapped(backwards...)).Run().Succeeds()

	harness.New(t, mapped(many(341)...)).Run().Fails("linux.uidMappings", "341", "340")
	wide := many(340)
	for i := range wide {
		wide[i].HostID += 3000000000
	}
	harness.New(t, mapped(wide...)).Run().Fails("linux.gidMappings", "less than a page of 4096")
	harness.New(t, mapped(specs.LinuxIDMapping{ContainerID: 1, HostID: 1000, Size: 10}), harness.User(1, 1)).Run().Fails("linux.uidMappings", "containerID 0")
	harness.New(t, mapped(specs.LinuxIDMapping{Size: 10}, specs.LinuxIDMapping{ContainerID: 9, HostID: 100, Size: 1})).Run().Fails("linux.uidMappings[1]", "overlaps")
}

// keptNamespaces makes a user namespace, with a network namespace of its own, that stays by bind mounts.
func keptNamespaces(t *testing.T, s *harness.Sandbox, first uint32) (user, network string) {
	t.Helper()
	pod := harness.New(t, harness.UserNamespace(first, 1000), harness.Args("/bin/sleep", "1000"))
	pod.Create().Succeeds()
	user, network = filepath.Join(s.Dir, "user"), filepath.Join(s.Dir, "network")
	for path, kind := range map[string]string{user: "user", network: "net"} {
		must(t, os.WriteFile(path, nil, 0o644))
		must(t, unix.Mount(fmt.Sprintf("/proc/%d/ns/%s", pod.PID(), kind), path, "", unix.MS_BIND, ""))
		t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	}
	pod.Delete()
	return user, network
}

// A pod's user namespace is joined by its path; containerd and CRI-O give its mappings as well.
func TestJoinedUserNamespace(t *testing.T) {
	if layout, err := harness.CurrentLayout(); err == nil && layout != harness.V2 {
		harness.InLayout(t, harness.V2, "^TestJoinedUserNamespace$")
	}
	writable := func(c *specs.Spec) { // so that its cgroup is given to the namespace's root
		for i := range c.Mounts {
			if c.Mounts[i].Destination == "/sys/fs/cgroup" {
				c.Mounts[i].Options = []string{"rw"}
			}
		}
	}
	none := func(*specs.Spec) {}
	for name, c := range map[string]struct {
		maps, net bool
		edit      harness.Edit
	}{
		"path alone": {}, "path and mappings": {maps: true}, "with the network": {maps: true, net: true}, "with a writable cgroup": {maps: true, net: true, edit: writable},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.New(t, harness.Args("/bin/sleep", "1000"))
			user, network := keptNamespaces(t, s, 500000)
			s.Edit(harness.Namespace(specs.UserNamespace, user))
			if c.maps {
				m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 500000, Size: 1000}}
				s.Spec.Linux.UIDMappings, s.Spec.Linux.GIDMappings = m, m
			}
			if c.net {
				s.Edit(harness.Namespace(specs.NetworkNamespace, network))
			}
			if c.edit == nil {
				c.edit = none
			}
			s.Edit(c.edit)
			s.Create().Succeeds()
			s.Davit("start", s.ID).Succeeds()
			for path, kind := range map[string]string{user: "user", network: "net"} {
				if kind == "net" && !c.net {
					continue
				}
				var want, have unix.Stat_t
				must(t, unix.Stat(path, &want))
				must(t, unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", s.PID(), kind), &have))
				if want.Ino != have.Ino {
					t.Errorf("the %s namespace is %d, want %d", kind, have.Ino, want.Ino)
				}
			}
			x := s.Davit("exec", s.ID, "/bin/sh", "-c", "id -u; cat /proc/self/uid_map; echo x >/dev/null && ls /sys/class/net | grep -c lo")
			if x.Succeeds(); fields(x.Stdout()) != "0 0 500000 1000 1" {
				t.Errorf("exec tells %s", fields(x.Stdout()))
			}
			s.Delete()
		})
	}
}

// A path that isn't what it has to be.
func TestJoinedUserNamespaceRefused(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	_, network := keptNamespaces(t, s, 500000)
	s.Run(harness.Namespace(specs.UserNamespace, network)).Fails("linux.namespaces", "another type")
	s.Run(harness.Namespace(specs.UserNamespace, "/etc/passwd")).Fails("linux.namespaces", "not a namespace")
	s.Run(harness.Namespace(specs.UserNamespace, filepath.Join(s.Dir, "none"))).Fails("linux.namespaces", "no such file")
	s.Run(harness.Namespace(specs.UserNamespace, "/proc/self/ns/user")).Fails("linux.namespaces")
}

// setgroups is forbidden where an unprivileged user mapped one id: leaving groups, or asking for more, is an error or has no effect.
func TestSetgroups(t *testing.T) {
	t.Parallel()
	s := hand.sandbox(t, harness.Shell("cat /proc/self/setgroups; id -G"))
	if got := fields(s.Output()); got != "deny 0" {
		t.Errorf("got %s", got)
	}
	s = skipper.sandbox(t, skipper.subordinate(), harness.User(0, 0, 5, 6), harness.Shell("cat /proc/self/setgroups; id -G"))
	if got := fields(s.Output()); got != "allow 0 5 6" {
		t.Errorf("got %s", got)
	}
	// Even where the group is mapped.
	s = hand.sandbox(t, harness.User(0, 0, 0))
	r := s.Run(harness.Shell("id -G"))
	if r.Code == 0 && fields(r.Stdout()) != "0" {
		t.Errorf("groups are %s", r.Stdout())
	}
	hasReason(t, r)
	// root's container, whose groups of its caller are gone
	s = harness.New(t, harness.UserNamespace(100000, 1000), harness.Shell("id -G; grep Groups /proc/self/status"))
	if got := fields(s.Output()); got != "0 Groups:" {
		t.Errorf("groups are %s", got)
	}
}

func hasReason(t *testing.T, r *harness.Result) {
	t.Helper()
	if r.Code != 0 && !strings.Contains(r.Stderr(), "level=error") {
		t.Errorf("exit code %d without a reason: %s", r.Code, r.Stderr())
	}
}

// Devices can't be made in a user namespace: the host's are bound, with their own numbers, and what the host lacks is an error.
func TestDevicesInUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 1000), harness.Shell(
		`for d in null zero full random urandom tty; do stat -c '%t:%T' /dev/$d; done; echo x >/dev/null; head -c 2 /dev/zero | wc -c; readlink /dev/ptmx; [ -c /dev/pts/ptmx ] && ls -d /dev/fd/0 && mknod /tmp/x c 1 3 2>/dev/null || echo refused`))
	must(t, os.Chmod(s.Path("tmp"), 0o777))
	if got := fields(s.Output()); got != "1:3 1:5 1:7 1:8 1:9 5:0 2 pts/ptmx /dev/fd/0 refused" {
		t.Errorf("got %s", got)
	}
	device := func(path, typ string, major, minor int64) harness.Edit {
		return func(c *specs.Spec) {
			c.Linux.Devices = []specs.LinuxDevice{{Path: path, Type: typ, Major: major, Minor: minor}}
		}
	}
	s.Run(device("/dev/null", "c", 1, 3), harness.Args("/bin/true")).Succeeds()
	s.Run(device("/dev/null", "c", 1, 5)).Fails("/dev/null", "different")
	s.Run(device("/dev/nothing-like-it", "c", 1, 3)).Fails("/dev/nothing-like-it", "no such file")
	if got := fields(s.Sh("stat -c %F /dev/pipe", device("/dev/pipe", "p", 0, 0))); got != "fifo" {
		t.Errorf("a FIFO is a %s", got)
	}
}

// A terminal belongs to the user who is to work on it, as the namespace counts.
func TestTerminalOwner(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 2000), harness.User(1000, 1000), func(c *specs.Spec) { c.Process.Terminal = true },
		harness.Shell("stat -c '%u on %n' /dev/console $(tty); echo ok >/dev/tty"))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	term := c.OnTerminal(24, 80)
	c.Begin()
	term.Expect("1000 on /dev/console")
	term.Expect("1000 on /dev/pts/0")
	term.Expect("ok")
	c.End().Succeeds()

	s.Edit(func(c *specs.Spec) { c.Process.Terminal = false }, harness.Args("/bin/sleep", "1000"))
	s.Create().Succeeds()
	defer s.Delete()
	s.Davit("start", s.ID).Succeeds()
	x := s.Command("exec", "-t", "-u", "7", s.ID, "/bin/sh", "-c", "stat -c '%u on %n' $(tty); echo ok >/dev/tty")
	term = x.OnTerminal(24, 80)
	x.Begin()
	term.Expect("7 on /dev/pts/0")
	term.Expect("ok")
	x.End().Succeeds()
}

// Without a network namespace of its own a user namespace can't have a sysfs: the caller's is bound, of which nothing can be written.
func TestSysfsWithoutNetworkNamespace(t *testing.T) {
	t.Parallel()
	sysfs := []harness.Edit{harness.WithoutMount("/sys"), harness.Mount(specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev"}}), harness.WithoutNamespace(specs.NetworkNamespace),
		harness.WithoutMount("/sys/fs/cgroup"), harness.Shell(`ls -d /sys/class/net/lo; awk '$5 ~ "^/sys" && $6 ~ "^rw"' /proc/self/mountinfo; awk '$5 == "/sys" {print $5}' /proc/self/mountinfo`)}
	for name, s := range map[string]*harness.Sandbox{
		"root's":   harness.New(t, append(sysfs, harness.UserNamespace(100000, 1000))...),
		"a user's": hand.sandbox(t, sysfs...),
	} {
		r := s.Run()
		if r.Code != 0 || fields(r.Stdout()) != "/sys/class/net/lo /sys" {
			t.Errorf("%s: exit code %d, %s%s", name, r.Code, r.Stdout(), r.Stderr())
		}
		if !strings.Contains(r.Stderr(), "level=warning") || !strings.Contains(r.Stderr(), "/sys of the caller is bound") {
			t.Errorf("%s: no warning: %s", name, r.Stderr())
		}
	}
}
