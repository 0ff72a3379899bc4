package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// group is the container's directory in one hierarchy.
type group struct {
	mount       string   // the hierarchy's mount point; "" if the directory was recorded
	dir         string   // absolute path
	controllers []string // version 1: what is mounted here, "name=…" included
	unified     bool
	fd          int      // the open directory, -1 if none
	made        []string // directories that this process made, outermost first
}

func (g *group) has(controller string) bool { return slices.Contains(g.controllers, controller) }

// file is the path of a file for error texts.
func (g *group) file(name string) string { return g.dir + "/" + name }

// mkdir makes the container's directory and the parents that lack. fresh is false if it
// existed. Another container's removal may take a shared parent away in between, hence
// the rounds.
func (g *group) mkdir() (fresh bool, err error) {
	for range 16 {
		err = unix.Mkdir(g.dir, 0o755)
		if err == nil {
			g.made = append(g.made, g.dir)
			return true, nil
		}
		if err == unix.EEXIST {
			return false, nil
		}
		if err != unix.ENOENT {
			break
		}
		for i := len(g.mount) + 1; i < len(g.dir); i++ {
			if g.dir[i] != '/' {
				continue
			}
			switch err := unix.Mkdir(g.dir[:i], 0o755); err {
			case nil:
				g.made = append(g.made, g.dir[:i])
			case unix.EEXIST, unix.ENOENT:
			default:
				return false, &fs.PathError{Op: "create cgroup", Path: g.dir[:i], Err: err}
			}
		}
	}
	return false, &fs.PathError{Op: "create cgroup", Path: g.dir, Err: err}
}

// open opens the directory. A recorded path is checked to be a cgroup, and not the root
// of its filesystem: everything below is about to be written to, killed or removed.
func (g *group) open() error {
	if g.fd >= 0 {
		return nil
	}
	fd, err := openRetry(unix.AT_FDCWD, g.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err == unix.ENOENT {
		return fmt.Errorf("%w: %s", ErrNotExist, g.dir)
	}
	if err != nil {
		return &fs.PathError{Op: "open cgroup", Path: g.dir, Err: err}
	}
	if g.mount == "" && !isCgroup(fd) {
		unix.Close(fd)
		return fmt.Errorf("%s is not a directory below a cgroup mount point", g.dir)
	}
	g.fd = fd
	return nil
}

func isCgroup(fd int) bool {
	var f unix.Statfs_t
	if unix.Fstatfs(fd, &f) != nil || (f.Type != unix.CGROUP2_SUPER_MAGIC && f.Type != unix.CGROUP_SUPER_MAGIC) {
		return false
	}
	var self, parent unix.Stat_t
	return unix.Fstat(fd, &self) == nil && unix.Fstatat(fd, "..", &parent, 0) == nil && self.Dev == parent.Dev
}

func (g *group) close() {
	if g.fd >= 0 {
		unix.Close(g.fd)
		g.fd = -1
	}
}

// write writes a value to a file of the directory, in one write(2) as the cgroup
// filesystems want it.
func (g *group) write(name, value string) error {
	dirfd, at := g.fd, name
	if dirfd < 0 && g.mount != "" {
		dirfd, at = unix.AT_FDCWD, g.file(name) // often the only access to a directory
	} else if err := g.open(); err != nil {
		return err
	} else {
		dirfd = g.fd
	}
	err := writeAt(dirfd, at, value)
	if err == unix.ENODEV {
		return fmt.Errorf("%w: %s", ErrNotExist, g.dir)
	}
	if err != nil {
		return &WriteError{Path: g.file(name), Value: value, Err: err}
	}
	return nil
}

// read returns a file's content.
func (g *group) read(name string) (string, error) {
	if err := g.open(); err != nil {
		return "", err
	}
	s, err := readAt(g.fd, name)
	if err != nil {
		return "", &fs.PathError{Op: "read", Path: g.file(name), Err: err}
	}
	return s, nil
}

// readUint returns the number that a file holds; "max" is the largest one.
func (g *group) readUint(name string) (uint64, error) {
	s, err := g.read(name)
	if err != nil {
		return 0, err
	}
	n, err := parseUint(strings.TrimSpace(s))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", g.file(name), err)
	}
	return n, nil
}

// pids appends the processes in the cgroup open as fd. In a threaded cgroup processes
// can't be listed, threads can (cgroups(7), "Threads and version 2"). Processes outside
// the caller's PID namespace read as 0 and are left out.
func pids(fd int, to []int) ([]int, error) {
	s, err := readAt(fd, "cgroup.procs")
	if err == unix.EOPNOTSUPP {
		s, err = readAt(fd, "cgroup.threads")
	}
	if err != nil {
		return to, err
	}
	for line := range strings.Lines(s) {
		if pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && pid > 0 {
			to = append(to, pid)
		}
	}
	return to, nil
}

// walk calls f for the directory open as fd and for all below, the innermost first. What
// vanishes meanwhile is passed over.
func walk(fd int, rel string, f func(fd int, rel string) error) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Nlink > 2 { // kernfs counts sub-directories in the link count
		names, err := subdirs(fd)
		if err != nil {
			return err
		}
		for _, name := range names {
			sub, err := openRetry(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
			if err == unix.ENOENT {
				continue
			}
			if err != nil {
				return &fs.PathError{Op: "open cgroup", Path: path.Join(rel, name), Err: err}
			}
			err = walk(sub, path.Join(rel, name), f)
			unix.Close(sub)
			if err != nil {
				return err
			}
		}
	}
	err := f(fd, rel)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) {
		return nil // removed since it was opened
	}
	return err
}

func subdirs(fd int) ([]string, error) {
	dup, err := openRetry(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(dup), "cgroup")
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func openRetry(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func writeAt(dirfd int, name, value string) error {
	fd, err := openRetry(dirfd, name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return writeFd(fd, value)
}

func writeFd(fd int, value string) error {
	for {
		_, err := unix.Write(fd, []byte(value))
		if err != unix.EINTR {
			return err
		}
	}
}

func readAt(dirfd int, name string) (string, error) {
	fd, err := openRetry(dirfd, name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readFd(fd)
}

func readFd(fd int) (string, error) {
	buf := make([]byte, 4096)
	n := 0
	for {
		k, err := unix.Read(fd, buf[n:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", err
		case k == 0:
			return string(buf[:n]), nil
		}
		if n += k; n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}

func rewindRead(fd int) (string, error) {
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return "", err
	}
	return readFd(fd)
}

// parseUint reads a number as cgroup files show it: "max", and in version 1 -1, stand for
// no limit.
func parseUint(s string) (uint64, error) {
	if s == "max" || s == "-1" {
		return 1<<64 - 1, nil
	}
	return strconv.ParseUint(s, 10, 64)
}
