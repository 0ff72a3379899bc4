package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// nsFiles maps namespace types to their names below /proc/PID/ns.
func nsFiles() map[specs.LinuxNamespaceType]string {
	return map[specs.LinuxNamespaceType]string{
		specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.MountNamespace: "mnt", specs.IPCNamespace: "ipc",
		specs.UTSNamespace: "uts", specs.UserNamespace: "user", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time",
	}
}

const readNamespaces = `for n in pid net mnt ipc uts user cgroup time; do echo $n $(readlink /proc/self/ns/$n); done`

// seenNamespaces parses what readNamespaces wrote.
func seenNamespaces(t *testing.T, out string) map[string]string {
	t.Helper()
	seen := make(map[string]string)
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[name] = value
	}
	if len(seen) != 8 {
		t.Fatalf("expected 8 namespaces:\n%s", out)
	}
	return seen
}

func namespaceOf(t *testing.T, pid any, file string) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestNamespacesNew(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), harness.Namespace(specs.TimeNamespace, ""))
	if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	for name, value := range seenNamespaces(t, s.Sh(readNamespaces)) {
		if value == namespaceOf(t, "self", name) {
			t.Errorf("the container's %s namespace is the host's, %s", name, value)
		}
	}
}

// Every type that the configuration doesn't list is the caller's (N3).
func TestNamespacesHost(t *testing.T) {
	t.Parallel()
	for typ, file := range nsFiles() {
		if typ == specs.MountNamespace {
			continue // TestNoMountNamespace
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.WithoutNamespace(typ))
			if typ == specs.UTSNamespace {
				s.Spec.Hostname = ""
			}
			for name, value := range seenNamespaces(t, s.Sh(readNamespaces)) {
				same := value == namespaceOf(t, "self", name)
				if name == file && !same {
					t.Errorf("the %s namespace is %s and not the host's", name, value)
				}
				if created := name != file && name != "user" && name != "time"; created && same {
					t.Errorf("the %s namespace is the host's although a new one was asked for", name)
				}
			}
		})
	}
}

func TestNoMountNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutNamespace(specs.MountNamespace), harness.WithoutMounts(), harness.WithoutNamespace(specs.CgroupNamespace))
	s.InstallProbe()
	if err := unix.Mount("proc", s.Path("proc"), "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(s.Path("proc"), unix.MNT_DETACH) })
	out := s.Sh("readlink /proc/self/ns/mnt; ls /")
	if !strings.HasPrefix(out, namespaceOf(t, "self", "mnt")+"\n") {
		t.Errorf("the mount namespace is not the host's:\n%s", out)
	}
	if !strings.Contains(out, "probe") {
		t.Errorf("the root directory is not the rootfs:\n%s", out)
	}
}

// A container joins every namespace of another one, by the paths below /proc/PID/ns.
func TestNamespacesJoined(t *testing.T) {
	t.Parallel()
	first := harness.New(t, harness.Namespace(specs.TimeNamespace, ""), harness.Args("/bin/sleep", "100"))
	first.Create().Succeeds()
	first.Davit("start", first.ID).Succeeds()
	pid := first.PID()
	for _, typ := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace,
		specs.CgroupNamespace, specs.TimeNamespace} {
		file := nsFiles()[typ]
		t.Run(file, func(t *testing.T) {
			s := harness.New(t, harness.Namespace(typ, fmt.Sprintf("/proc/%d/ns/%s", pid, file)))
			if typ == specs.UTSNamespace {
				s.Spec.Hostname = ""
			}
			for name, value := range seenNamespaces(t, s.Sh(readNamespaces)) {
				if same := value == namespaceOf(t, pid, name); same != (name == file) && name != "user" && name != "time" {
					t.Errorf("the %s namespace is %s, that of the other container is %s", name, value, namespaceOf(t, pid, name))
				}
			}
		})
	}
	first.Delete()
}

// A mount namespace that was made for the container: what it mounts is there and not on the host.
func TestNamespacesJoinedMount(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	holder := exec.Command("unshare", "--mount", "--propagation", "private", "sleep", "100")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	}()
	own := namespaceOf(t, "self", "mnt")
	harness.Eventually(t, "a new mount namespace", func() bool { return namespaceOf(t, holder.Process.Pid, "mnt") != own })
	want := namespaceOf(t, holder.Process.Pid, "mnt")
	s.Edit(harness.Namespace(specs.MountNamespace, fmt.Sprintf("/proc/%d/ns/mnt", holder.Process.Pid)))
	if got := strings.TrimSpace(s.Sh("readlink /proc/self/ns/mnt")); got != want {
		t.Errorf("the mount namespace is %s, want %s", got, want)
	}
}

// User and network namespaces that somebody else made, as rootless engines have them.
func TestNamespacesJoinedUserAndNetwork(t *testing.T) {
	t.Parallel()
	first := harness.New(t, harness.UserNamespace(100000, 65536), harness.Args("/bin/sleep", "100"))
	if err := os.Chown(first.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	first.Create().Succeeds()
	first.Davit("start", first.ID).Succeeds()
	pid := first.PID()
	s := harness.New(t, harness.Namespace(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", pid)),
		harness.Namespace(specs.NetworkNamespace, fmt.Sprintf("/proc/%d/ns/net", pid)))
	out := s.Sh(readNamespaces + "; cat /proc/self/uid_map >&2; id -u >&2")
	seen := seenNamespaces(t, out)
	for _, name := range []string{"user", "net"} {
		if seen[name] != namespaceOf(t, pid, name) {
			t.Errorf("the %s namespace is %s, want %s", name, seen[name], namespaceOf(t, pid, name))
		}
	}
	first.Delete()
}

func TestUserNamespaceMappings(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Namespace(specs.UserNamespace, ""), harness.AllCapabilities())
	s.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}, {ContainerID: 1000, HostID: 300000, Size: 10}}
	s.Spec.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 2000}}
	for _, dir := range []string{"", "tmp"} {
		if err := os.Chown(s.Path(dir), 100000, 200000); err != nil {
			t.Fatal(err)
		}
	}
	out := s.Sh("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; touch /tmp/mine; chown 1000:1000 /tmp/mine")
	if got, want := strings.Join(strings.Fields(out), " "), "0 100000 1000 1000 300000 10 0 200000 2000 0 0"; got != want {
		t.Errorf("mappings and ids are %s, want %s", got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(s.Path("tmp/mine"), &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 300000 || st.Gid != 201000 {
		t.Errorf("a file of 1000:1000 in the container belongs to %d:%d on the host", st.Uid, st.Gid)
	}
	// Another user than root, with groups.
	out = s.Sh("id -u; id -g; id -G", harness.User(1005, 5, 7, 9))
	if got := strings.Join(strings.Fields(out), " "); got != "1005 5 5 7 9" {
		t.Errorf("ids are %s", got)
	}
}

func TestHostnameAndDomainname(t *testing.T) {
	t.Parallel()
	hostname := harness.Tool(t, "uname", "-n")
	s := harness.New(t)
	s.Spec.Hostname, s.Spec.Domainname = "boat", "harbour.example"
	if got := s.Sh("hostname; cat /proc/sys/kernel/domainname"); got != "boat\nharbour.example\n" {
		t.Errorf("hostname and domain name are %q", got)
	}
	if now := harness.Tool(t, "uname", "-n"); now != hostname {
		t.Errorf("the host's name was %q and is %q", hostname, now)
	}
	for field, edit := range map[string]harness.Edit{
		"hostname":   func(c *specs.Spec) { c.Hostname, c.Domainname = "boat", "" },
		"domainname": func(c *specs.Spec) { c.Hostname, c.Domainname = "", "boat" },
	} {
		s := harness.New(t, harness.WithoutNamespace(specs.UTSNamespace), edit)
		s.Run().Fails(field)
	}
}

func TestTimeNamespaceOffsets(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Namespace(specs.TimeNamespace, ""))
	s.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{
		"monotonic": {Secs: 172800, Nanosecs: 7}, "boottime": {Secs: 604800},
	}
	out := s.Sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime")
	f := strings.Fields(out)
	if len(f) != 7 || strings.Join(f[:6], " ") != "monotonic 172800 7 boottime 604800 0" {
		t.Fatalf("offsets are %q", out)
	}
	var up int
	if _, err := fmt.Sscan(f[6], &up); err != nil || up < 604800 {
		t.Errorf("the uptime is %s s, want a week and more", f[6])
	}
	s.Run(harness.WithoutNamespace(specs.TimeNamespace)).Fails("linux.timeOffsets")
}

// A new network namespace has its loopback up; nothing else is in it.
func TestNetworkNamespaceLoopback(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	out := s.Sh("ls /sys/class/net; cat /sys/class/net/lo/flags; nc -l -p 7 -e echo reached & sleep 0.2; nc 127.0.0.1 7 </dev/null")
	f := strings.Fields(out)
	if f[0] != "lo" || f[len(f)-1] != "reached" {
		t.Errorf("the network namespace isn't usable:\n%s", out)
	}
}

// Two containers share namespaces that are kept by bind mounts, as `ip netns` makes them.
func TestNamespaceKeptByMount(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	kept := filepath.Join(s.Dir, "netns")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	harness.Tool(t, "unshare", "--net="+kept, "true")
	t.Cleanup(func() { _ = unix.Unmount(kept, unix.MNT_DETACH) })
	var st unix.Stat_t
	if err := unix.Stat(kept, &st); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("net:[%d]\n", st.Ino)
	if got := s.Sh("readlink /proc/self/ns/net", harness.Namespace(specs.NetworkNamespace, kept)); got != want {
		t.Errorf("the network namespace is %q, want %q", got, want)
	}
}
