package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/criu"
)

// mountEntry is a line of a mount table (proc_pid_mountinfo(5)).
type mountEntry struct {
	id          int
	root, point string
	fstype      string
}

func readMounts(pid int) ([]mountEntry, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, fmt.Errorf("mounts of process %d: %w", pid, err)
	}
	var list []mountEntry
	for line := range strings.Lines(string(data)) {
		left, right, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if len(f) < 5 || len(g) < 1 {
			continue
		}
		id, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		list = append(list, mountEntry{id: id, root: unescape(f[3]), point: unescape(f[4]), fstype: g[0]})
	}
	return list, nil
}

// isBind tells whether a configured mount shows something of the host's.
func isBind(m *specs.Mount) bool {
	return slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// inside is a mount's destination as a clean path from the container's root.
func inside(destination string) string { return filepath.Clean("/" + destination) }

// below tells whether path is dir or something in it, and what is left of it then: "" or "/…".
func below(path, dir string) (string, bool) {
	if dir == "/" {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, dir)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// externalMounts names those mounts of a container that lead to the host. Their
// content isn't dumped; the restore puts the host's there again, found by the
// same name. A name is where the configuration has the mount.
func externalMounts(pid int, spec *specs.Spec) ([]criu.Pair, error) {
	table, err := readMounts(pid)
	if err != nil {
		return nil, err
	}
	root := "/proc/" + strconv.Itoa(pid) + "/root"
	var points []mountPoint
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		at, err := resolveInside(root, inside(m.Destination))
		if err != nil {
			return nil, fmt.Errorf("mounts[%d] (%s): %w", i, m.Destination, err)
		}
		points = append(points, mountPoint{at, inside(m.Destination), isBind(m)})
	}
	cgroups := !hasNamespace(spec, specs.CgroupNamespace)
	var list []criu.Pair
	add := func(key, value string) {
		p := criu.Pair{Key: key, Value: value}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	for _, m := range table {
		owner := covering(points, m.point)
		switch {
		case m.point == "/":
		case owner != nil && owner.bind:
			rest, _ := below(m.point, owner.at)
			add(m.point, owner.name+rest)
		case m.fstype == "devtmpfs": // a node of the host's: of a device, or to mask a file
			add(m.point, m.point)
		case cgroups && strings.HasPrefix(m.fstype, "cgroup"):
			add(m.point, m.point)
		}
	}
	return list, nil
}

// mountPoint is a configured mount: where it is, and where the configuration says.
type mountPoint struct {
	at, name string
	bind     bool
}

// covering is the configured mount that a mount point is at or below, the innermost, the last one of several at the same place.
func covering(points []mountPoint, point string) *mountPoint {
	var best *mountPoint
	for i := range points {
		p := &points[i]
		if _, ok := below(point, p.at); ok && (best == nil || len(p.at) >= len(best.at)) {
			best = p
		}
	}
	return best
}

// resolveInside follows the links of a path in a container's file tree.
func resolveInside(root, path string) (string, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOENT) {
		return path, nil // the container has unmounted or hidden it
	}
	if err != nil {
		return "", fmt.Errorf("resolve in the container: %w", err)
	}
	defer unix.Close(fd)
	// In another mount namespace the kernel shows it from that one's root.
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}

func hasNamespace(spec *specs.Spec, typ specs.LinuxNamespaceType) bool {
	return spec.Linux != nil && slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == typ })
}

// sources says where the host has what [externalMounts] named.
func (r *restore) sources() ([]criu.Pair, error) {
	table, err := readMounts(os.Getpid())
	if err != nil {
		return nil, err
	}
	var list []criu.Pair
	for i := range r.spec.Mounts {
		m := &r.spec.Mounts[i]
		if !isBind(m) {
			continue
		}
		source := m.Source
		if !filepath.IsAbs(source) {
			source = filepath.Join(r.bundle.Dir, source)
		}
		if source, err = filepath.EvalSymlinks(source); err != nil {
			return nil, fmt.Errorf("mounts[%d] (%s): source: %w", i, m.Destination, err)
		}
		list = append(list, criu.Pair{Key: inside(m.Destination), Value: source})
		for _, sub := range table {
			if rest, ok := below(sub.point, source); ok && rest != "" && rest != "/" {
				list = append(list, criu.Pair{Key: inside(filepath.Join(m.Destination, rest)), Value: sub.point})
			}
		}
	}
	return append(list, r.nodes()...), nil
}

// nodes are the host's device nodes that a container can have, and its control groups.
func (r *restore) nodes() []criu.Pair {
	var list []criu.Pair
	l := r.spec.Linux
	for _, path := range l.MaskedPaths {
		list = append(list, criu.Pair{Key: inside(path), Value: "/dev/null"})
	}
	if hasNamespace(r.spec, specs.UserNamespace) {
		for _, path := range [...]string{"/dev/null", "/dev/random", "/dev/full", "/dev/tty", "/dev/zero", "/dev/urandom"} {
			list = append(list, criu.Pair{Key: path, Value: path})
		}
		for i := range l.Devices {
			list = append(list, criu.Pair{Key: inside(l.Devices[i].Path), Value: filepath.Clean(l.Devices[i].Path)})
		}
	}
	if hasNamespace(r.spec, specs.CgroupNamespace) {
		return list
	}
	for i := range r.spec.Mounts {
		m := &r.spec.Mounts[i]
		if m.Type == "cgroup" || m.Type == "cgroup2" {
			list = append(list, r.cgroupBinds(inside(m.Destination))...)
		}
	}
	return list
}

// makeRootReadonly makes a restored process's root mount what root.readonly
// asks for: CRIU gives it the flags of the mount that it finds.
func makeRootReadonly(pid int) error {
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("root.readonly: open the restored mount namespace: %w", err)
	}
	defer unix.Close(ns)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends in the container's mount namespace
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNS)
		}
		if err == nil {
			err = remountReadonly("/")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("root.readonly: make the restored root read-only: %w", err)
	}
	return nil
}

func remountReadonly(path string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != unix.ENOSYS { // before Linux 5.12
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return err
	}
	// These flags of statfs(2) are the numbers of mount(2), which takes away what isn't named.
	const same = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME
	return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|uintptr(st.Flags)&same, "")
}
