// Package crio tests davit below CRI-O, as Kubernetes uses that.
package crio

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"davit/tests/engines/kubelet"
	"davit/tests/engines/lab"
)

func TestMain(m *testing.M) { lab.Main(m, "crio") }

func TestCRIO(t *testing.T) {
	bin := filepath.Join(os.Getenv("DAVIT_ENGINES_BUILT"), "crio")
	if _, err := os.Stat(filepath.Join(bin, "crio")); err != nil {
		t.Skip("CRI-O isn't there: Debian has no package of it, tests/engines/built makes it")
	}
	for _, cgroups := range []lab.Cgroups{lab.Hybrid, lab.V1, lab.V2} {
		t.Run(string(cgroups), func(t *testing.T) { start(t, bin, cgroups, false).Scenarios(t) })
	}
	t.Run("systemd", func(t *testing.T) { start(t, bin, lab.Hybrid, true).Scenarios(t) })
}

const socket = "/run/crio/crio.sock"

// start makes a cell and runs CRI-O in it, with images that podman has put in its storage, and
// the cgroup manager cgroupfs or systemd.
func start(t *testing.T, bin string, cgroups lab.Cgroups, systemd bool) *kubelet.Node {
	c := lab.NewCell(t, cgroups)
	manager, monitors := "cgroupfs", "pod"
	n := &kubelet.Node{Socket: socket, Scope: "crio"}
	if systemd {
		n.Systemd = kubelet.StartUnits(t, c)
		manager, monitors = "systemd", "system.slice"
	}
	config := c.Write("crio.conf", configuration(c, bin, manager, monitors), 0o644)
	loadImages(c)
	run := func() *lab.Daemon {
		ready := func() bool { return c.Run("test", "-S", socket).Code == 0 }
		return c.Daemon("crio", nil, ready, filepath.Join(bin, "crio"), "--config", config, "--config-dir", "")
	}
	d := run()
	t.Cleanup(func() {
		err := d.Stop(syscall.SIGTERM)
		// CRI-O 1.34.0 now and then waits there for a goroutine that has ended; what it was asked to do is done by then.
		if err != nil && !strings.Contains(err.Error(), "cnimgr.(*CNIManager).Shutdown") {
			t.Error(err)
		}
	})
	version := strings.Fields(c.Must(filepath.Join(bin, "crio"), "--version"))[2]
	e := &lab.Engine{
		Cell: c, Name: "CRI-O " + version, Log: func() string { return d.Tail() },
		StateRoots: []string{stateRoot, "/run/davit"},
		// The parent of all pods, CRI-O's storage mounted on itself, and an image that was a volume, which stays mounted until it is removed.
		Keeps: []string{"/" + c.Mark, c.Path("storage", "overlay"), "/run/netns", "/merged"},
	}
	if systemd {
		e.Name += ", systemd cgroups"
		e.Keeps = append(e.Keeps, "/davitpods.slice", "/system.slice")
	}
	n.Engine = e
	n.Restart = func() {
		if err := d.Stop(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		c.Must("rm", socket)
		d = run()
	}
	n.Tidy = func() {
		// Those of containers that failed, and of those from before a restart; who lives in one stays, and is found.
		// A real systemd removes a scope that is empty, its double doesn't.
		c.Run("sh", "-c", "for h in /sys/fs/cgroup /sys/fs/cgroup/*; do rmdir $h/"+c.Mark+"/crio-conmon-* $h/"+c.Mark+"/system.slice/crio-conmon-*; done")
		kubelet.RemoveSlices(c)
	}
	return n
}

const stateRoot = "/run/davit-crio"

// configuration is what docs/kubernetes.md tells to write, and what this laboratory needs besides.
func configuration(c *lab.Cell, bin, manager, monitors string) string {
	c.Write("cni/10-bridge.conflist", kubelet.Bridge, 0o644)
	return strings.NewReplacer(
		"{manager}", manager, "{monitors}", monitors, "{dir}", c.Dir, "{socket}", socket, "{bin}", bin, "{pause}", kubelet.PauseImage, "{state}", stateRoot,
		"{davit}", c.Recorder("davit"), "{runc}", c.Recorder("runc"),
		"{policy}", c.Write("policy.json", `{"default": [{"type": "insecureAcceptAnything"}]}`, 0o644),
	).Replace(`
[crio]
root = "{dir}/storage"
runroot = "/run/containers/storage"
storage_driver = "overlay"
log_dir = "{dir}/logs"
version_file = "{dir}/version"
clean_shutdown_file = "{dir}/clean.shutdown"
internal_wipe = false
[crio.api]
listen = "{socket}"
[crio.runtime]
cgroup_manager = "{manager}"
default_runtime = "davit"
apparmor_profile = "unconfined"
hooks_dir = []
namespaces_dir = "/run/crio/namespaces"
container_exits_dir = "/run/crio/exits"
container_attach_socket_dir = "/run/crio"
pinns_path = "{bin}/pinns"
# Those of containerd, so that the scenarios are the same.
default_capabilities = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"]
[crio.runtime.runtimes.davit]
runtime_path = "{davit}"
runtime_type = "oci"
runtime_root = "{state}"
monitor_path = "/usr/bin/conmon"
monitor_cgroup = "{monitors}"
[crio.runtime.runtimes.runc]
runtime_path = "{runc}"
runtime_type = "oci"
runtime_root = "/run/runc-crio"
monitor_path = "/usr/bin/conmon"
monitor_cgroup = "{monitors}"
[crio.image]
pause_image = "{pause}"
pause_command = ""
signature_policy = "{policy}"
big_files_temporary_dir = "{dir}/tmp"
[crio.network]
network_dir = "{dir}/cni"
plugin_dirs = ["/usr/lib/cni"]
[crio.nri]
enable_nri = false
`)
}

// loadImages fills CRI-O's storage, where there is no registry to pull from.
func loadImages(c *lab.Cell) {
	storage := c.Write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = \"/run/containers/storage\"\n", c.Path("storage")), 0o644)
	load := func(archive string) {
		c.Must("env", "CONTAINERS_STORAGE_CONF="+storage, "podman", "--cgroup-manager", "cgroupfs", "load", "--input", archive)
	}
	load(c.Image(kubelet.Image, "sh"))
	load(c.Image(kubelet.PauseImage, kubelet.Pause()...))
}
