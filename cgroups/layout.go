package cgroups

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode says which versions of cgroups a host mounts.
type Mode int

// Modes of a [Layout].
const (
	None   Mode = iota // no cgroup filesystem is mounted
	V1                 // version 1 hierarchies only
	V2                 // the unified hierarchy only
	Hybrid             // version 1 hierarchies and the unified one
)

func (m Mode) String() string {
	switch m {
	case V1:
		return "v1"
	case V2:
		return "v2"
	case Hybrid:
		return "hybrid"
	}
	return "none"
}

// Hierarchy is a mounted version 1 hierarchy.
type Hierarchy struct {
	Mountpoint  string   // absolute path
	Root        string   // the cgroup that the mount point shows; "" for the topmost
	Controllers []string // such as "cpu", "cpuacct"; empty for a named hierarchy
	Name        string   // the value of mount option "name="
}

// keys names the hierarchy as /proc/PID/cgroup does.
func (h *Hierarchy) keys() []string {
	if h.Name == "" {
		return h.Controllers
	}
	return append(slices.Clip(h.Controllers), "name="+h.Name)
}

// Layout is what a host mounts. It is plain data.
type Layout struct {
	Mode        Mode
	Unified     string      // mount point of the unified hierarchy, "" if there is none
	UnifiedRoot string      // as Hierarchy.Root; not looked up where that hierarchy is the only one
	V1          []Hierarchy // each hierarchy once, however often it is mounted
}

// V1Controller returns the version 1 hierarchy that has the controller, or nil.
func (l *Layout) V1Controller(name string) *Hierarchy {
	for i := range l.V1 {
		if slices.Contains(l.V1[i].Controllers, name) {
			return &l.V1[i]
		}
	}
	return nil
}

const (
	defaultMount = "/sys/fs/cgroup"
	mountinfo    = "/proc/self/mountinfo"
)

// Detect looks at the caller's mount namespace. Where /sys/fs/cgroup is a cgroup2
// filesystem that settles it, in one system call; otherwise the mount table is read.
func Detect() (*Layout, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(defaultMount, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return &Layout{Mode: V2, Unified: defaultMount}, nil
	}
	table, err := readAt(unix.AT_FDCWD, mountinfo)
	if err != nil {
		return nil, &fs.PathError{Op: "detect cgroup mounts: read", Path: mountinfo, Err: err}
	}
	return parseMountinfo(table, isMounted), nil
}

// isMounted tells whether dev is what a look-up of path finds: a mount table also lists
// mounts that later ones hide.
func isMounted(path string, dev uint64) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Dev == dev
}

// parseMountinfo picks the cgroup filesystems out of a table in the format of proc(5),
// /proc/PID/mountinfo. Of several mounts of a hierarchy the first visible one below
// /sys/fs/cgroup is taken, else the first visible one.
func parseMountinfo(table string, visible func(path string, dev uint64) bool) *Layout {
	type found struct {
		Hierarchy
		dev     uint64
		unified bool
	}
	var all []found
	for line := range strings.Lines(table) {
		// 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
		head, tail, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - cgroup")
		if !ok {
			continue
		}
		fields, super := strings.Fields(head), strings.Fields(tail)
		if len(fields) < 5 || len(super) < 2 {
			continue
		}
		f := found{dev: parseDev(fields[2]), unified: strings.HasPrefix(tail, "2 ")}
		f.Mountpoint = unescape(fields[4])
		if fields[3] != "/" {
			f.Root = unescape(fields[3])
		}
		if !f.unified {
			f.Controllers, f.Name = v1Options(super[len(super)-1])
			if len(f.Controllers) == 0 && f.Name == "" {
				continue
			}
		}
		if !visible(f.Mountpoint, f.dev) {
			continue
		}
		at := slices.IndexFunc(all, func(o found) bool { return o.dev == f.dev })
		switch {
		case at < 0:
			all = append(all, f)
		case !underDefault(all[at].Mountpoint) && underDefault(f.Mountpoint):
			all[at] = f
		}
	}
	l := &Layout{}
	for _, f := range all {
		switch {
		case !f.unified:
			l.V1 = append(l.V1, f.Hierarchy)
		case l.Unified == "":
			l.Unified, l.UnifiedRoot = f.Mountpoint, f.Root
		}
	}
	l.Mode = modeOf(len(l.V1) > 0, l.Unified != "")
	return l
}

func modeOf(v1, unified bool) Mode {
	switch {
	case v1 && unified:
		return Hybrid
	case v1:
		return V1
	case unified:
		return V2
	}
	return None
}

func underDefault(path string) bool { return strings.HasPrefix(path, defaultMount+"/") }

// v1Options takes controllers and name from a version 1 superblock's options. What isn't
// an option known from cgroups(7) or mount(8) is a controller.
func v1Options(options string) (controllers []string, name string) {
	for o := range strings.SplitSeq(options, ",") {
		switch {
		case strings.HasPrefix(o, "name="):
			name = o[len("name="):]
		case strings.HasPrefix(o, "release_agent="):
		default:
			switch o {
			case "rw", "ro", "none", "noprefix", "xattr", "clone_children", "cpuset_v2_mode",
				"favordynmods", "nofavordynmods", "seclabel":
				continue
			}
			controllers = append(controllers, o)
		}
	}
	return controllers, name
}

func parseDev(s string) uint64 {
	major, minor, _ := strings.Cut(s, ":")
	a, _ := strconv.ParseUint(major, 10, 32)
	b, _ := strconv.ParseUint(minor, 10, 32)
	return unix.Mkdev(uint32(a), uint32(b))
}

// unescape undoes the kernel's octal escapes (\040 for a space) in a mount point.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
