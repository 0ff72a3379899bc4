package cgroups

import (
	"fmt"
	"io/fs"
	"os"
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

// CallerPaths returns the cgroups that the caller is in, as far as the mounted hierarchies
// show them: a container that has none of its own in a hierarchy is in that one.
func CallerPaths(layout *Layout) (map[string]string, error) {
	paths, err := PathsOf(layout, os.Getpid())
	for key, dir := range paths {
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil {
			delete(paths, key)
		}
	}
	return paths, err
}

// parseProcCgroup joins paths from /proc/PID/cgroup with mount points. A path that isn't
// below what is mounted there, or is outside the reader's cgroup namespace ("/.."), is left out.
func parseProcCgroup(table string, layout *Layout) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(table) {
		// 4:memory:/a/b, 1:name=systemd:/a/b, 0::/a/b
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") || f[2] == "/.." || strings.HasPrefix(f[2], "/../") {
			continue
		}
		at := strings.TrimSuffix(f[2], " (deleted)")
		if f[0] == "0" && f[1] == "" {
			if rel, ok := below(layout.UnifiedRoot, at); ok && layout.Unified != "" {
				paths[""] = layout.Unified + rel
			}
			continue
		}
		for key := range strings.SplitSeq(f[1], ",") {
			for _, h := range layout.V1 {
				rel, ok := below(h.Root, at)
				if ok && ("name="+h.Name == key || h.Name == "" && layout.V1Controller(key) != nil && layout.V1Controller(key).Mountpoint == h.Mountpoint) {
					paths[key] = h.Mountpoint + rel
				}
			}
		}
	}
	return paths
}

// below is the path of a cgroup seen from one above it, "" for that one itself.
func below(root, path string) (rel string, ok bool) {
	rel, ok = strings.CutPrefix(path, root)
	if rel == "/" {
		rel = ""
	}
	return rel, ok && (rel == "" || rel[0] == '/')
}
