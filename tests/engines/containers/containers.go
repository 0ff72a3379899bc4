// Package containers prepares cells for Podman and Buildah, which share
// configuration, storage and the way to work without root.
package containers

import (
	"fmt"
	"strings"
	"testing"

	"davit/tests/engines/lab"
)

// The ordinary user.
const (
	user   = "sailor"
	UserID = "4242"
	runDir = "/run/user/" + UserID
)

// podmanParent is the cgroup that Podman takes for pods of play kube, which can't be given another.
const podmanParent = "libpod_parent"

// podmanProbe is the one in which Podman sees, as root on version 2, whether swap can be limited.
const podmanProbe = "podman_probe"

// Tools is a cell with the configuration of these tools.
type Tools struct {
	*lab.Cell
	rootless bool
}

// Prepare makes a cell for root or an ordinary user.
func Prepare(t testing.TB, cgroups lab.Cgroups, rootless bool) *Tools {
	c := &Tools{lab.NewCell(t, cgroups), rootless}
	c.Must("sh", "-c", "cat >/etc/containers/containers.conf <"+c.Write("containers.conf", c.configuration(), 0o644))
	run := "/run"
	if rootless {
		run = runDir
		c.addUser()
	} else {
		c.removeCgroups(t)
	}
	c.Write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", c.Path("storage"), run+"/containers"), 0o644)
	return c
}

// configuration is what docs/engines/podman.md tells to write, with the
// runtimes that scenarios compare with, and those to measure.
func (c *Tools) configuration() string {
	var runtimes, names []string
	add := func(name, path string) {
		runtimes = append(runtimes, fmt.Sprintf("%s = [%q]\n", name, path))
		names = append(names, fmt.Sprintf("%q", name))
	}
	for _, r := range lab.Runtimes() {
		add(r, c.Recorder(r))
		if path := c.Direct(r); path != "" {
			add(r+"-itself", path)
		}
	}
	return `[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "davit"
runtime_supports_json = [` + strings.Join(names, ", ") + `]
runtime_supports_nocgroup = ["davit", "crun"]
[engine.runtimes]
` + strings.Join(runtimes, "")
}

// Engine makes one of a cell: name is of its program, title begins its name in the results.
func (c *Tools) Engine(title, name string) *lab.Engine {
	version := strings.Fields(c.Must(name, "--version"))[2]
	e := &lab.Engine{Cell: c.Cell, Name: title + " " + version + ", root", StateRoots: []string{"/run/davit"}}
	if c.rootless {
		e.Name = title + " " + version + ", rootless"
		e.StateRoots = []string{runDir + "/davit"}
	}
	// What the tools keep: the parents of cgroups, the process that holds a user's namespaces, the storage and the
	// directory of network namespaces mounted on themselves.
	e.Keeps = []string{"/" + c.Mark, UserCgroup(c.Cell), "/" + podmanParent, "/conmon", "catatonit", "/run/netns", c.Path("storage", "overlay")}
	return e
}

// Client makes a script that runs a program as the cell's root or user, and returns its path.
func (c *Tools) Client(program string) string {
	storage := "CONTAINERS_STORAGE_CONF=" + c.Path("storage.conf")
	path := "PATH=" + c.Path("bin") + ":/usr/sbin:/usr/bin:/sbin:/bin" // Buildah finds there what containers.conf names
	if !c.rootless {
		return c.Write("bin/"+program, "#!/bin/sh\nexport "+path+" "+storage+"\nexec /usr/bin/"+program+" \"$@\"\n", 0o755)
	}
	lines := []string{"#!/bin/sh"}
	if c.Cgroups == lab.V2 {
		lines = append(lines, "echo $$ >/sys/fs/cgroup"+UserCgroup(c.Cell)+"/login/cgroup.procs")
	}
	environment := []string{
		path, "TERM=xterm", "USER=" + user, "HOME=" + c.Path("home", user), "XDG_RUNTIME_DIR=" + runDir, "TMPDIR=" + c.Path("tmp"), storage,
	}
	lines = append(lines, "cd /", "exec setpriv --reuid "+UserID+" --regid "+UserID+" --init-groups -- env -i "+strings.Join(environment, " ")+" /usr/bin/"+program+" \"$@\"\n")
	return c.Write("bin/"+program, strings.Join(lines, "\n"), 0o755)
}

// UserCgroup is the one that an administrator gives to the user, on version 2.
func UserCgroup(c *lab.Cell) string { return "/" + c.Mark + "/user" }

// addUser gives an ordinary user what a login gives.
func (c *Tools) addUser() {
	home := c.Path("home", user)
	c.Must("sh", "-e", "-c", strings.Join([]string{
		"echo " + user + ":x:" + UserID + ":" + UserID + "::" + home + ":/bin/sh >>/etc/passwd",
		"echo " + user + ":x:" + UserID + ": >>/etc/group",
		"echo " + user + ":300000:65536 | tee /etc/subuid >/etc/subgid",
		"mkdir -p " + home + " " + c.Path("storage") + " " + runDir,
		"chown " + UserID + ":" + UserID + " " + home + " " + c.Path("storage") + " " + runDir,
		"chmod 700 " + runDir,
		"chmod 1777 " + c.Path("tmp"),
		// conmon makes its sockets for terminals in /tmp, wherever TMPDIR is.
		"if [ $(stat -c %a /tmp) != 1777 ]; then", c.writableTmp(), "fi",
		// Where no udev is at work slirp4netns may not open it.
		"[ ! -c /dev/net/tun ] || { mknod -m 666 " + c.Path("tun") + " c 10 200; mount --bind " + c.Path("tun") + " /dev/net/tun; }",
	}, "\n"))
	if c.Cgroups == lab.V2 {
		g := "/sys/fs/cgroup" + UserCgroup(c.Cell)
		c.Must("sh", "-e", "-c", "mkdir -p "+g+"/login; cd "+g+"; chown "+UserID+" . cgroup.procs cgroup.subtree_control cgroup.threads login login/*")
	}
}

// writableTmp lays a directory over /tmp that everybody may write to. What's
// there stays to be seen, and the cell's own directory itself.
func (c *Tools) writableTmp() string {
	return strings.Join([]string{
		"mkdir -p /run/tmp/upper /run/tmp/work /run/tmp/dir", "chmod 1777 /run/tmp/upper",
		"mount --rbind " + c.Dir + " /run/tmp/dir",
		"mount -t overlay -o lowerdir=/tmp,upperdir=/run/tmp/upper,workdir=/run/tmp/work overlay /tmp",
		"mount --rbind /run/tmp/dir " + c.Dir,
	}, "\n")
}

// removeCgroups removes what Podman leaves at the top of hierarchies, if it wasn't there before.
func (c *Tools) removeCgroups(t testing.TB) {
	const tops = "/sys/fs/cgroup/ /sys/fs/cgroup/*/"
	for _, name := range []string{podmanParent, podmanProbe} {
		dirs := strings.Fields(c.Must("sh", "-c", "for d in "+tops+"; do [ ! -e $d/cgroup.procs ] || [ -e ${d}"+name+" ] || echo ${d}"+name+"; done"))
		t.Cleanup(func() {
			for _, d := range dirs {
				if out := c.Run("sh", "-c", "[ ! -e "+d+" ] || find "+d+" -depth -type d -exec rmdir {} +"); out.Code != 0 {
					t.Error(out)
				}
			}
		})
	}
}
