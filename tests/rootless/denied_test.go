package rootless

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// prepared puts a script of root's, in a mount namespace of its own, in front of the user's commands.
func prepared(s *harness.Sandbox, script string) {
	s.Prefix = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-ec", script + `; exec "$@"`, "sh"}, s.Prefix...)
}

// Everything that an ordinary user may lack on a host, lacking: the error says what it is and what to do.
func TestWhatIsMissing(t *testing.T) {
	t.Parallel()
	others := func(c *specs.Spec) { // ids that aren't the user's
		m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: skipper.sub, Size: 10}}
		c.Linux.UIDMappings, c.Linux.GIDMappings = m, m
	}
	for name, c := range map[string]struct {
		user   *account
		script string // what root does to the host first
		edits  []harness.Edit
		want   []string
	}{
		"newuidmap": {skipper, "mount --bind /dev/null $(command -v newuidmap)", []harness.Edit{skipper.subordinate()},
			[]string{"linux.uidMappings", "newuidmap is not in $PATH", "uidmap"}},
		"newgidmap": {skipper, "mount --bind /dev/null $(command -v newgidmap)", []harness.Edit{skipper.subordinate()},
			[]string{"linux.gidMappings", "newgidmap is not in $PATH", "uidmap"}},
		"the setuid bit": {skipper, "m=$(command -v newgidmap); d=$(mktemp -d); mount -t tmpfs none $d; cp $m $d/m; chmod 755 $d $d/m; mount --bind $d/m $m; umount -l $d; rmdir $d", []harness.Edit{skipper.subordinate()},
			[]string{"linux.gidMappings", "neither setuid root nor has file capabilities"}},
		"setuid by the mount": {skipper, "m=$(command -v newgidmap); mount --bind $m $m; mount -o remount,bind,nosuid $m", []harness.Edit{skipper.subordinate()},
			[]string{"linux.gidMappings", "mounted nosuid"}},
		"privileges at all": {skipper, "", []harness.Edit{skipper.subordinate()}, []string{"linux.gidMappings", "no_new_privs"}},
		"a line in /etc/subgid": {hand, "", []harness.Edit{others},
			[]string{"linux.gidMappings", "/etc/subgid has no line for davit-hand", `"davit-hand:100000:65536"`, "usermod --add-subgids"}},
		"a line in /etc/subuid": {skipper, "grep -v davit-skipper /etc/subuid >/etc/subuid-less || true; mount --bind /etc/subuid-less /etc/subuid", []harness.Edit{skipper.subordinate()},
			[]string{"linux.uidMappings", "/etc/subuid has no line for davit-skipper", "usermod --add-subuids"}},
		"more ids": {skipper, "", []harness.Edit{skipper.subordinate(), func(c *specs.Spec) { c.Linux.GIDMappings[1].Size++ }},
			[]string{"linux.gidMappings", fmt.Sprintf("/etc/subgid gives davit-skipper only %d-%d", skipper.sub, skipper.sub+subCount-1)}},
		"an entry in /etc/passwd": {&account{"", 471199, 0}, "", []harness.Edit{others},
			[]string{"linux.gidMappings", "user id 471199 has no entry in /etc/passwd"}},
		"a user namespace in the config": {hand, "", []harness.Edit{harness.WithoutNamespace(specs.UserNamespace), func(c *specs.Spec) { c.Linux.UIDMappings, c.Linux.GIDMappings = nil, nil }},
			[]string{"linux.namespaces", "user namespace"}},
		"the host's root": {hand, "d=$(mktemp -d); mount --rbind / $d; set -- chroot $d \"$@\"", nil, []string{"clone3", "chroot"}},
		"an unmasked procfs": {hand, "mount -t tmpfs none /proc/fs", nil,
			[]string{"mounts[0] (/proc)", "systempaths=unconfined", "procMount: Unmasked", `"source": "/proc"`}},
		"a pid namespace": {hand, "", []harness.Edit{harness.WithoutNamespace(specs.PIDNamespace)},
			[]string{"mounts[0] (/proc)", `{"type": "pid"}`, `"source": "/proc"`}},
		"an ipc namespace": {hand, "", []harness.Edit{harness.WithoutNamespace(specs.IPCNamespace)}, []string{"/dev/mqueue", `{"type": "ipc"}`}},
		"a group for terminals": {hand, "", []harness.Edit{harness.WithoutMount("/dev/pts"), harness.Mount(specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "gid=5"}})},
			[]string{"/dev/pts", "gid=5 has to be an id that the user namespace maps"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.user.sandbox(t, c.edits...)
			if name == "privileges at all" {
				s.Prefix = append([]string{"setpriv", "--no-new-privs"}, s.Prefix...)
			}
			if c.script != "" {
				prepared(s, c.script)
			}
			s.Run().Fails(c.want...)
		})
	}
}

// The limits of namespaces, as they are inside a user namespace, where its root sets them.
func TestLimitsOfNamespaces(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "unshare", "util-linux")
	for limit, want := range map[string]string{
		"max_user_namespaces": "sysctl user.max_user_namespaces is 0, which forbids them: sysctl -w user.max_user_namespaces=15000",
		"max_pid_namespaces":  "sysctl user.max_pid_namespaces is 0",
		"max_uts_namespaces":  "sysctl user.max_uts_namespaces is 0",
	} {
		s := hand.sandbox(t, func(c *specs.Spec) { c.Linux.UIDMappings[0].HostID, c.Linux.GIDMappings[0].HostID = 0, 0 })
		s.Prefix = append(s.Prefix, "unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/"+limit+`; exec "$@"`, "sh")
		s.Run().Fails("linux.namespaces", "clone3", want)
	}
	// One that is reached, rather than forbidden.
	s := hand.sandbox(t, func(c *specs.Spec) { c.Linux.UIDMappings[0].HostID, c.Linux.GIDMappings[0].HostID = 0, 0 })
	s.Prefix = append(s.Prefix, "unshare", "--user", "--map-root-user", "sh", "-c", `echo 1 >/proc/sys/user/max_user_namespaces; unshare --user sleep 30 & sleep 0.2; "$@"; code=$?; kill $!; exit $code`, "sh")
	s.Run().Fails("linux.namespaces", "a limit is reached", "user.max_user_namespaces = 1")
}

// A host id that davit's own user namespace doesn't have.
func TestMappingBeyondOwnNamespace(t *testing.T) {
	t.Parallel()
	s := skipper.sandbox(t, func(c *specs.Spec) { c.Linux.UIDMappings[0].HostID, c.Linux.GIDMappings[0].HostID = 70000, 70000 })
	s.Prefix = append(s.Prefix, "unshare", "--user", "--map-auto", "--map-root-user")
	s.Run().Fails("linux.gidMappings", "davit is in a user namespace itself", "every hostID has to be one of them")
}

// What a refused container leaves: nothing.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := hand.sandbox(t, harness.WithoutNamespace(specs.IPCNamespace))
	s.Run().Fails("/dev/mqueue")
	left, err := os.ReadDir(filepath.Join(s.Dir, "run/davit"))
	must(t, err)
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), "@") {
			t.Errorf("left is %s", e.Name())
		}
	}
}

// A PID namespace in which no memfd may be executed, as hardened hosts make them, whoever starts the stage.
func TestMemfdsThatMayNotBeExecuted(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/sys/vm/memfd_noexec"); err != nil {
		t.Skip("this kernel can't forbid to execute memfds (Linux 6.3 can)")
	}
	for _, flags := range [][]string{nil, {"--preserve-fds", "1"}} {
		s := hand.sandbox(t)
		s.WriteConfig()
		s.Prefix = append([]string{"unshare", "--pid", "--fork", "--mount-proc", "sh", "-ec", `echo 2 >/proc/sys/vm/memfd_noexec; exec 3</dev/null; "$@"`, "sh"}, s.Prefix...)
		s.Davit(append(append([]string{"run", "--bundle", s.Bundle}, flags...), s.ID)...).Fails("start the stage", "sysctl -w vm.memfd_noexec=1")
	}
}
