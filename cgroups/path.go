package cgroups

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// ownParent is the directory that relative paths start from.
	ownParent = "davit"
	// ownPrefix begins the name of a cgroup whose container asks for no path: one
	// directory deep, as making and enabling a parent costs as much again.
	ownPrefix = "davit-"
)

// cgroupPath returns the container's place below each mount point, with a leading slash.
// See the package comment for the rules.
func cgroupPath(cgroupsPath, id string) (string, error) {
	if cgroupsPath == "" {
		if id == "" || strings.ContainsAny(id, "/\n\x00") {
			return "", fmt.Errorf("cgroup path: container id %q is not a file name", id)
		}
		return "/" + ownPrefix + id, nil
	}
	if strings.ContainsAny(cgroupsPath, "\n\x00") {
		return "", fmt.Errorf("linux.cgroupsPath: %q has a line break or a NUL byte", cgroupsPath)
	}
	for part := range strings.SplitSeq(cgroupsPath, "/") {
		if part == ".." {
			return "", fmt.Errorf("linux.cgroupsPath: %q climbs with \"..\"; write the path without it", cgroupsPath)
		}
	}
	rel := path.Clean("/" + cgroupsPath)
	if rel == "/" {
		return "", fmt.Errorf("linux.cgroupsPath: %q is the root of the hierarchy, which can't be a container's cgroup", cgroupsPath)
	}
	if cgroupsPath[0] != '/' {
		rel = "/" + ownParent + rel
	}
	return rel, nil
}

// ownParents returns how many parents of the container's directory are davit's own.
func ownParents(cgroupsPath string) int {
	if cgroupsPath == "" || cgroupsPath[0] == '/' {
		return 0
	}
	return strings.Count(path.Clean(cgroupsPath), "/") + 1
}

// checkRecorded refuses a recorded path that no manager can have returned, so that a
// damaged state file can't make Destroy walk somewhere else.
func checkRecorded(key, dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || strings.Count(dir, "/") < 2 {
		return fmt.Errorf("recorded cgroup path for %q: %q is not the directory of a cgroup", key, dir)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
