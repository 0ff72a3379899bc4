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

// limit asks for something that only a cgroup can give.
func limit(c *specs.Spec) {
	c.Linux.Resources = &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}
}

// Without the right to make cgroups there is none, and whoever asks for limits gets an error rather than a container without them.
func TestWithoutCgroup(t *testing.T) {
	t.Parallel()
	s := hand.sandbox(t, harness.Shell("cat /proc/self/cgroup"))
	var own unix.Stat_t
	if err := unix.Stat("/sys/fs/cgroup", &own); err != nil {
		t.Skip("this host has no cgroups")
	}
	s.Output()
	s.Run(limit).Fails("cgroup", "linux.resources")
	s.Run(func(c *specs.Spec) {
		c.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: harness.Pointer(int64(10))}}
	}).Fails("cgroup")

	s = hand.sandbox(t, harness.Args("/bin/sleep", "1000"))
	s.Create().Succeeds()
	defer s.Delete()
	s.Davit("pause", s.ID).Fails("cgroup")
	s.Davit("update", "--pids-limit", "10", s.ID).Fails("cgroup")
	s.Davit("kill", s.ID, "KILL").Succeeds()
}

// A cgroup that was given to the user is used, limited, paused, and left as it was.
func TestDelegatedCgroup(t *testing.T) {
	if have, err := harness.CurrentLayout(); err != nil || have != harness.V2 {
		harness.InLayout(t, harness.V2, "^TestDelegatedCgroup$")
		return
	}
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			u := k.user
			s := u.sandbox(t, k.edit, harness.Args("/bin/sleep", "1000"))
			own := delegate(t, u, s)
			s.Edit(func(c *specs.Spec) { c.Linux.CgroupsPath = own + "/box" })
			s.Create().Succeeds()
			dir := "/sys/fs/cgroup" + own + "/box"
			if data, err := os.ReadFile(dir + "/cgroup.procs"); err != nil || strings.TrimSpace(string(data)) != fmt.Sprint(s.PID()) {
				t.Errorf("in the cgroup is %q, want %d: %v", data, s.PID(), err)
			}
			s.Davit("start", s.ID).Succeeds()
			x := s.Davit("exec", s.ID, "/bin/sh", "-c", "cat /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs")
			if x.Succeeds(); fields(x.Stdout()) != "0::/ /sys/fs/cgroup/cgroup.procs" && !strings.Contains(x.Stdout(), "0::/\n") {
				t.Errorf("the container sees %s", fields(x.Stdout()))
			}
			s.Davit("pause", s.ID).Succeeds()
			s.WaitStatus("paused")
			s.Davit("resume", s.ID).Succeeds()
			if len(processes(t, u, s)) != 1 {
				t.Error("ps doesn't list one process")
			}
			s.Davit("kill", "--all", s.ID, "KILL").Succeeds()
			s.WaitStatus(specs.StateStopped)
			s.Davit("delete", s.ID).Succeeds()
			if _, err := os.Stat(dir); err == nil {
				t.Error("the cgroup is left")
			}
		})
	}
}

// delegate makes a cgroup that belongs to the user, with the user's processes in it, as a service manager would.
func delegate(t *testing.T, u *account, s *harness.Sandbox) (path string) {
	return enter(t, u, s, "", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "main", "main/cgroup.procs")
}

// stranded makes one that is the user's and holds the user's processes, with nothing of the user's around it.
func stranded(t *testing.T, u *account, s *harness.Sandbox) (path string) {
	return enter(t, u, s, "main", "main/cgroup.procs", "main/cgroup.subtree_control", "main/cgroup.threads")
}

func enter(t *testing.T, u *account, s *harness.Sandbox, owned ...string) (path string) {
	t.Helper()
	path = "/" + s.ID + "-delegated"
	dir := "/sys/fs/cgroup" + path
	main := filepath.Join(dir, "main")
	must(t, os.MkdirAll(main, 0o755))
	t.Cleanup(func() {
		_ = unix.Rmdir(main)
		if err := unix.Rmdir(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	for _, f := range owned {
		must(t, os.Chown(filepath.Join(dir, f), u.uid, u.uid))
	}
	s.Prefix = append([]string{"sh", "-c", "echo $$ >" + main + `/cgroup.procs && exec "$@"`, "sh"}, s.Prefix...)
	return path
}

// Who may make a cgroup beside his own gets one for each container, though no path asks for it.
func TestCgroupBesideCaller(t *testing.T) {
	if have, err := harness.CurrentLayout(); err != nil || have != harness.V2 {
		harness.InLayout(t, harness.V2, "^TestCgroupBesideCaller$")
		return
	}
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			s := k.user.sandbox(t, k.edit, harness.Args("/bin/sleep", "1000"))
			elsewhere := s.Prefix
			dir := "/sys/fs/cgroup" + delegate(t, k.user, s) + "/davit-" + s.ID
			s.Create().Succeeds()
			if data, err := os.ReadFile(dir + "/cgroup.procs"); err != nil || strings.TrimSpace(string(data)) != fmt.Sprint(s.PID()) {
				t.Errorf("in the cgroup is %q, want %d: %v", data, s.PID(), err)
			}
			s.Davit("start", s.ID).Succeeds()
			s.Davit("pause", s.ID).Succeeds()
			s.WaitStatus("paused")
			s.Davit("resume", s.ID).Succeeds()
			inside := []string{"exec", s.ID, "/bin/sh", "-c", "grep ^0:: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs"}
			if x := s.Davit(inside...); x.Stderr() != "" || !strings.HasPrefix(x.Stdout(), "0::/\n1\n") {
				t.Errorf("the container sees %s%s", x.Stdout(), x.Stderr())
			}
			// A process that comes from elsewhere can't be moved there, and is let in all the same.
			s.Prefix = elsewhere
			x := s.Davit(inside...)
			if x.Succeeds(); !strings.HasPrefix(x.Stdout(), "0::/..") || !strings.Contains(x.Stderr(), "stays in its caller's cgroup") {
				t.Errorf("the container sees %s%s", x.Stdout(), x.Stderr())
			}
			s.Davit("delete", "--force", s.ID).Succeeds()
			if _, err := os.Stat(dir); err == nil {
				t.Error("the cgroup is left")
			}
		})
	}
}

// Where that was is known even if davit died before it had a record of the container, or the record is damaged.
func TestCgroupBesideCallerRemains(t *testing.T) {
	if have, err := harness.CurrentLayout(); err != nil || have != harness.V2 {
		harness.InLayout(t, harness.V2, "^TestCgroupBesideCallerRemains$")
		return
	}
	for name, damage := range map[string]func(t *testing.T, record string, pid int){
		"none": func(t *testing.T, record string, pid int) {
			must(t, unix.Kill(pid, unix.SIGKILL))
			must(t, os.Remove(record))
		},
		"damaged": func(t *testing.T, record string, _ int) { must(t, os.WriteFile(record, []byte("{"), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := hand.sandbox(t, harness.Args("/bin/sleep", "1000"))
			elsewhere := s.Prefix
			dir := "/sys/fs/cgroup" + delegate(t, hand, s) + "/davit-" + s.ID
			s.Create().Succeeds()
			if _, err := os.Stat(dir); err != nil {
				t.Fatal(err)
			}
			damage(t, filepath.Join(s.Root, s.ID, "state.json"), s.PID())
			s.Prefix = elsewhere
			s.Davit("delete", "--force", s.ID).Succeeds()
			if _, err := os.Stat(dir); err == nil {
				t.Error("the cgroup is left")
			}
		})
	}
}

// CVE-2023-25809 as an ordinary user: nothing of the host's hierarchies that is the user's may be
// writable, be it by the mount's options. What is shown is the cgroup that the container is in.
func TestForeignCgroupsStayReadOnly(t *testing.T) {
	if have, err := harness.CurrentLayout(); err != nil || have != harness.V2 {
		harness.InLayout(t, harness.V2, "^TestForeignCgroupsStayReadOnly$")
		return
	}
	for name, k := range kinds() {
		for _, namespace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, namespace %t", name, namespace), func(t *testing.T) {
				s := k.user.sandbox(t, k.edit, harness.WithoutMount("/sys/fs/cgroup"),
					harness.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}}),
					harness.Shell("find /sys/fs/cgroup -type d | while read d; do mkdir $d/escaped 2>/dev/null && echo $d; done; cat /sys/fs/cgroup/cgroup.procs"))
				if !namespace {
					s.Edit(harness.WithoutNamespace(specs.CgroupNamespace))
				}
				own := stranded(t, k.user, s)
				r := s.Run()
				r.Succeeds()
				if strings.Contains(r.Stdout(), "/sys/fs/cgroup") {
					t.Errorf("the container made cgroups in %s", r.Stdout())
				}
				if !strings.Contains(r.Stdout(), "1\n") {
					t.Errorf("the container doesn't see itself in what is shown: %q", r.Stdout())
				}
				if !strings.Contains(r.Stderr(), "mounts[") || !strings.Contains(r.Stderr(), "read-only") {
					t.Errorf("no warning says that it can't be written: %q", r.Stderr())
				}
				if made, _ := filepath.Glob("/sys/fs/cgroup" + own + "/main/escaped"); len(made) > 0 {
					t.Error("the container made a cgroup in its caller's")
					must(t, unix.Rmdir(made[0]))
				}
			})
		}
	}
}

// In a cgroup of his own that was asked for, all that a container can write is that one.
func TestDelegatedCgroupAlone(t *testing.T) {
	if have, err := harness.CurrentLayout(); err != nil || have != harness.V2 {
		harness.InLayout(t, harness.V2, "^TestDelegatedCgroupAlone$")
		return
	}
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			s := k.user.sandbox(t, k.edit, harness.WithoutNamespace(specs.CgroupNamespace), harness.WithoutMount("/sys/fs/cgroup"),
				harness.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}}),
				harness.Shell("find /sys/fs/cgroup -type d | while read d; do mkdir $d/escaped 2>/dev/null && echo $d; done; true"))
			own := delegate(t, k.user, s)
			s.Edit(func(c *specs.Spec) { c.Linux.CgroupsPath = own + "/box" })
			if r := s.Run(); r.Code != 0 || !strings.HasPrefix(r.Stdout(), "/sys/fs/cgroup") {
				t.Errorf("in a delegated cgroup: exit code %d, %s%s", r.Code, r.Stdout(), r.Stderr())
			}
			if _, err := os.Stat("/sys/fs/cgroup" + own + "/escaped"); err == nil {
				t.Error("the container made a cgroup beside its own")
				must(t, unix.Rmdir("/sys/fs/cgroup"+own+"/escaped"))
			}
			if made, _ := filepath.Glob("/sys/fs/cgroup" + own + "/main/escaped"); len(made) > 0 {
				t.Error("the container made a cgroup in its caller's")
				must(t, unix.Rmdir(made[0]))
			}
		})
	}
}
