package cgroups

import (
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// PathsOf returns the cgroups a process is in, in the form of [Manager.Paths]. A process
// that is to join a container whose payload has made cgroups of its own goes where the
// container's init is: the unified hierarchy takes none into a cgroup that controls
// others (cgroups(7), "no internal processes" rule; Attach fails with EBUSY).
func PathsOf(layout *Layout, pid int) (map[string]string, error) {
	file := fmt.Sprintf("/proc/%d/cgroup", pid)
	table, err := readAt(unix.AT_FDCWD, file)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: file, Err: err}
	}
	return parseProcCgroup(table, layout), nil
}

// parseProcCgroup joins paths from /proc/PID/cgroup with mount points. A path outside the
// reader's cgroup namespace ("/..") has no place below them and is left out.
func parseProcCgroup(table string, layout *Layout) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(table) {
		// 4:memory:/a/b, 1:name=systemd:/a/b, 0::/a/b
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") || f[2] == "/.." || strings.HasPrefix(f[2], "/../") {
			continue
		}
		rel := strings.TrimSuffix(f[2], " (deleted)")
		if rel == "/" {
			rel = ""
		}
		if f[0] == "0" && f[1] == "" {
			if layout.Unified != "" {
				paths[""] = layout.Unified + rel
			}
			continue
		}
		for key := range strings.SplitSeq(f[1], ",") {
			for _, h := range layout.V1 {
				if "name="+h.Name == key || h.Name == "" && layout.V1Controller(key) != nil && layout.V1Controller(key).Mountpoint == h.Mountpoint {
					paths[key] = h.Mountpoint + rel
				}
			}
		}
	}
	return paths
}
