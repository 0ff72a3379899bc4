package doctor

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"davit/cgroups"
)

func (e *examiner) cgroups() {
	e.area = "cgroups"
	layout, err := cgroups.Detect()
	if err == nil && layout.Mode == cgroups.None {
		err = fmt.Errorf("no cgroup filesystem is mounted")
	}
	if err != nil {
		e.add(Missing, "mode", err.Error(), "linux.resources, linux.cgroupsPath, pause, ps, events, stats", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
		return
	}
	e.ok("mode", layout.Mode.String())
	paths, err := cgroups.PathsOf(layout, os.Getpid())
	if err != nil {
		e.note("own cgroup", err.Error())
	}
	places := []string{}
	for i := range layout.V1 {
		places = append(places, layout.V1[i].Mountpoint)
	}
	var unified []string
	if layout.Unified != "" {
		// An ordinary user's limits are those that were delegated to him.
		at := layout.Unified
		if own := paths[""]; e.euid != 0 && own != "" {
			at = own
		}
		unified = strings.Fields(value(at + "/cgroup.controllers"))
		places = append(places, at)
		e.ok("unified controllers", strings.Join(unified, " "))
	}
	e.writable(places)
	e.controllers(layout, unified)
	e.resctrl()
}

// writable tells whether cgroups can be made in directories.
func (e *examiner) writable(dirs []string) {
	var refused []string
	for _, dir := range dirs {
		if err := unix.Access(dir, unix.W_OK); err != nil {
			refused = append(refused, dir+" ("+err.Error()+")")
		}
	}
	if len(refused) == 0 {
		e.ok("making groups", strings.Join(dirs, " "))
		return
	}
	remedy := "mount -o remount,rw the hierarchy"
	if e.euid != 0 {
		remedy = "have a cgroup delegated: systemd-run --user --scope -p Delegate=yes davit …, or run as root"
	}
	e.missing("making groups", "not in "+strings.Join(refused, ", "), "linux.resources, pause, ps, stats", remedy)
}

// resctrl looks for what classes of service are made in.
func (e *examiner) resctrl() {
	const name, cost = "resctrl", "linux.intelRdt"
	table := value("/proc/self/mountinfo")
	switch {
	case strings.Contains(table, " - resctrl "):
		e.ok(name, "mounted")
	case strings.Contains(value("/proc/filesystems"), "\tresctrl"):
		e.missing(name, "not mounted", cost, "mount -t resctrl resctrl /sys/fs/resctrl")
	default:
		e.missing(name, "the kernel doesn't have it", cost, "a processor with Resource Director Technology or alike, and a kernel with CONFIG_X86_CPU_RESCTRL")
	}
}

// controllers names those that configurations may ask for and nobody has.
func (e *examiner) controllers(layout *cgroups.Layout, unified []string) {
	for _, c := range [...]struct{ v1, v2, fields string }{
		{"cpu", "cpu", "linux.resources.cpu"},
		{"cpuset", "cpuset", "linux.resources.cpu.cpus and mems"},
		{"memory", "memory", "linux.resources.memory"},
		{"pids", "pids", "linux.resources.pids"},
		{"blkio", "io", "linux.resources.blockIO"},
		{"hugetlb", "hugetlb", "linux.resources.hugepageLimits"},
		{"rdma", "rdma", "linux.resources.rdma"},
		{"net_cls", "", "linux.resources.network.classID"},
		{"net_prio", "", "linux.resources.network.priorities"},
	} {
		if layout.V1Controller(c.v1) != nil || slices.Contains(unified, c.v2) {
			continue
		}
		name := "controller " + c.v2
		if c.v2 == "" || layout.Mode == cgroups.V1 {
			name = "controller " + c.v1
		}
		e.missing(name, "in no hierarchy", c.fields, e.controllerRemedy(layout, c.v1, c.v2))
	}
	if h := layout.V1Controller("memory"); h != nil {
		if _, err := os.Stat(h.Mountpoint + "/memory.memsw.limit_in_bytes"); err != nil {
			e.missing("swap limits", "memory.memsw is not there", "linux.resources.memory.swap", "boot with swapaccount=1")
		}
	}
	if layout.Mode == cgroups.V1 && layout.V1Controller("freezer") == nil {
		e.missing("controller freezer", "in no hierarchy", "pause, resume", "mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer")
	}
}

func (e *examiner) controllerRemedy(layout *cgroups.Layout, v1, v2 string) string {
	switch {
	case e.euid != 0 && v2 != "" && layout.Unified != "" && slices.Contains(strings.Fields(value(layout.Unified+"/cgroup.controllers")), v2):
		return "have it delegated: Delegate=cpu cpuset io memory pids in a drop-in of user@.service"
	case v2 == "memory" && !compiledIn(v1):
		return "boot with cgroup_enable=memory"
	case !compiledIn(v1):
		return "a kernel with " + controllerConfig(v1)
	case layout.Mode == cgroups.V2 && v2 == "":
		return "version 1 has it, which this host doesn't mount: match the container's cgroup by nftables or tc instead"
	case layout.Mode == cgroups.V2:
		return "unmount the version 1 hierarchy that has it"
	}
	dir := "/sys/fs/cgroup/" + v1
	return "mkdir " + dir + " && mount -t cgroup -o " + v1 + " " + v1 + " " + dir
}

// compiledIn tells whether the kernel has a controller, and it isn't switched off (/proc/cgroups, cgroups(7)).
func compiledIn(controller string) bool {
	for line := range strings.Lines(value("/proc/cgroups")) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == controller {
			return f[3] == "1"
		}
	}
	return false
}

func controllerConfig(v1 string) string {
	switch v1 {
	case "cpu":
		return "CONFIG_CGROUP_SCHED"
	case "cpuset":
		return "CONFIG_CPUSETS"
	case "blkio":
		return "CONFIG_BLK_CGROUP"
	case "net_cls":
		return "CONFIG_CGROUP_NET_CLASSID"
	}
	return "CONFIG_CGROUP_" + strings.ToUpper(v1)
}
