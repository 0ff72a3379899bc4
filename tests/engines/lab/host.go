package lab

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// listing counts things by their kind and name.
type listing map[[2]string]int

func (l listing) add(kind, name string) { l[[2]string{kind, name}]++ }

// diff tells what is there in now and wasn't, or the other way round.
func (l listing) diff(now listing) string {
	var lines []string
	for k, n := range now {
		if n > l[k] {
			lines = append(lines, fmt.Sprintf("  left behind: %s %s\n", k[0], k[1]))
		}
	}
	for k, n := range l {
		if n > now[k] {
			lines = append(lines, fmt.Sprintf("  gone: %s %s\n", k[0], k[1]))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// host is what engines could change outside of their cells.
//
// Other work may go on at the same time on the machine, and mustn't be taken
// for a leak, nor hide one. So what differs at the end is a leak unless
// something speaks for its being another's:
//
//   - it's gone within [settling]: most of what others do, and what the
//     kernel still takes down;
//   - a cgroup with a process that isn't of a cell, in it or below: by then
//     all cells are gone, and what they leave is empty or has processes that
//     are found by their cell's mark. Cgroups that are gone were another's
//     too, for nobody can remove one in use;
//   - it's named as davit's other tests name theirs, or has the mark of another
//     run of these, or as Podman names two of its own that all runs share:
//     who found none removes it;
//   - a mount in a temporary directory, but for our own;
//   - davit's state of a container of which the bundle isn't in a cell.
//
// Processes are known by the mark, in their command line or their cgroup.
type host struct {
	listing
	sysctls map[string]string
}

func hostNow() host {
	h := host{listing: make(listing), sysctls: sysctls()}
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		foreign := strings.HasPrefix(f[4], "/tmp/") || strings.HasPrefix(f[4], "/var/tmp/")
		if strings.Contains(line, marks()) || !foreign {
			h.add("mount", strings.Join(f[4:6], " "))
		}
	}
	for _, d := range cgroupDirs("") {
		if !otherTests(d) {
			h.add("cgroup", d)
		}
	}
	for _, dir := range []string{"/sys/class/net", "/run/netns", "/run/docker", "/run/containerd", "/run/davit", "/var/lib/cni"} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			// davit's cache, and the devices of its other tests.
			path := filepath.Join(dir, e.Name())
			if !strings.HasPrefix(e.Name(), "@") && !strings.HasPrefix(e.Name(), "dvtest") && !anothers(path) {
				h.add("file", path)
			}
		}
	}
	for _, save := range []string{"iptables-save", "ip6tables-save"} {
		out, _ := exec.Command(save).Output()
		for line := range bytes.Lines(out) {
			if rule := string(bytes.TrimSpace(line)); rule != "" && rule[0] != '#' && rule[0] != ':' {
				h.add(save, rule)
			}
		}
	}
	for pid, cmd := range ofEngines() {
		h.add("process", fmt.Sprintf("%d %s", pid, cmd))
	}
	return h
}

// anothers tells whether a directory is davit's state of a container that no cell has the bundle of.
func anothers(dir string) bool {
	state, err := os.ReadFile(filepath.Join(dir, "state.json"))
	return err == nil && !bytes.Contains(state, []byte(marks()))
}

// otherTests tells whether a cgroup is looked after by other tests.
func otherTests(cgroup string) bool {
	for _, name := range []string{"/davit-test-", "/libpod_parent", "/podman_probe"} {
		if strings.Contains(cgroup, name) {
			return true
		}
	}
	return strings.Contains(cgroup, "/davit-engines-") && !strings.Contains(cgroup, marks())
}

// settling is how long differences may last.
const settling = 20 * time.Second

// settle compares the host with now until nothing differs, and tells what does in the end.
func (h host) settle(patience time.Duration) string {
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		diff := h.changes(hostNow())
		if diff == "" || time.Now().After(end) {
			return diff
		}
	}
}

// changes tells what is different now, without what is another's.
func (h host) changes(now host) string {
	before := maps.Clone(h.listing)
	ours := ofEngines()
	for k := range before {
		if k[0] == "cgroup" && now.listing[k] == 0 {
			delete(before, k)
		}
	}
	for k := range now.listing {
		if k[0] == "cgroup" && before[k] == 0 && inUse(k[1], ours) {
			delete(now.listing, k)
		}
	}
	diff := before.diff(now.listing)
	for _, name := range slices.Sorted(maps.Keys(h.sysctls)) {
		if value := h.sysctls[name]; now.sysctls[name] != value {
			diff += fmt.Sprintf("  changed: sysctl %s from %q to %q\n", name, value, now.sysctls[name])
		}
	}
	return diff
}

// inUse tells whether there's a process in a cgroup or below it that isn't one of ours.
func inUse(cgroup string, ours map[int]string) bool {
	used := false
	_ = filepath.WalkDir(cgroup, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		for _, pid := range procs(path) {
			if _, own := ours[pid]; !own {
				used = true
				return fs.SkipAll
			}
		}
		return nil
	})
	return used
}

// sysctls reads all but those that the kernel itself changes: counters, random numbers, what follows the load.
func sysctls() map[string]string {
	found := make(map[string]string)
	moving := []string{"random", "nr", "state", "file-nr", "ns_last_pid", "numa", "sched_domain", "tcp_", "nf_conntrack_count", "hash", "stat_refresh", "compact", "route", "gc_", "drop_caches", "flush", "quota", "perf_event_max_sample_rate"}
	_ = filepath.WalkDir("/proc/sys", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.ContainsFunc(moving, func(m string) bool { return strings.Contains(path, m) }) {
			return nil
		}
		if strings.Contains(path, "/net/") && !strings.Contains(path, "forward") {
			return nil // of this network namespace, which engines aren't in, but for what concerns routing
		}
		if text, err := os.ReadFile(path); err == nil {
			found[path] = strings.TrimSpace(string(text))
		}
		return nil
	})
	return found
}

// marks is what the marks of all cells of this process begin with.
func marks() string { return fmt.Sprintf("davit-engines-%d-", os.Getpid()) }

// ofEngines finds the processes that belong to a cell of this test process.
func ofEngines() map[int]string {
	mark := marks()
	found := make(map[int]string)
	for pid := range processes() {
		dir := fmt.Sprintf("/proc/%d/", pid)
		cmd, _ := os.ReadFile(dir + "cmdline")
		groups, _ := os.ReadFile(dir + "cgroup")
		if pid != os.Getpid() && (bytes.Contains(cmd, []byte(mark)) || bytes.Contains(groups, []byte(mark))) {
			found[pid] = strings.ReplaceAll(strings.TrimRight(string(cmd), "\x00"), "\x00", " ")
		}
	}
	return found
}

type process struct {
	comm   string
	parent int
}

func processes() map[int]process {
	found := make(map[int]process)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if open < 0 || end < open {
			continue // gone meanwhile
		}
		f := strings.Fields(string(stat[end+1:]))
		if len(f) < 2 || f[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(f[1])
		found[pid] = process{string(stat[open+1 : end]), parent}
	}
	return found
}

// descendants names what lives below a process.
func descendants(of int) map[int]string {
	all := processes()
	found := make(map[int]string)
	for pid, p := range all {
		for up := p.parent; up > 1; up = all[up].parent {
			if up == of {
				found[pid] = p.comm
				break
			}
		}
	}
	return found
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Release[:])
}
