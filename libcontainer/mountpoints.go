package libcontainer

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// rootTree is a root filesystem in which mount points are made. It is hostile
// ground: every step goes by a descriptor, and links never lead out of it (CVE-2021-30465).
type rootTree int

func openRootTree(dir string) (rootTree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("root.path: open %s: %w", dir, err)
	}
	return rootTree(fd), nil
}

func (t rootTree) close() { unix.Close(int(t)) }

// open resolves a path in the tree.
func (t rootTree) open(name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(int(t), name, &how)
		// EAGAIN: something was renamed or mounted meanwhile (openat2(2)); a racing attacker can't have it for ever.
		if err != unix.EINTR && (err != unix.EAGAIN || try > 100) {
			return fd, err
		}
	}
}

// make makes what is missing of a mount point: directories, and in the end a directory or an empty file.
func (t rootTree) make(name string, directory bool) error {
	name = path.Clean("/" + name)
	done := "/"
	for rest := strings.TrimPrefix(name, "/"); rest != ""; {
		var component string
		component, rest, _ = strings.Cut(rest, "/")
		next := path.Join(done, component)
		fd, err := t.open(next, unix.O_PATH)
		if err == nil {
			unix.Close(fd)
		} else if !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("open %s in the root filesystem: %w", next, err)
		} else if err := t.makeOne(done, component, directory || rest != ""); err != nil {
			return fmt.Errorf("make the mount point %s in the root filesystem: %w", next, err)
		}
		done = next
	}
	return nil
}

func (t rootTree) makeOne(parent, name string, directory bool) error {
	dir, err := t.open(parent, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if directory {
		return unix.Mkdirat(dir, name, 0o755)
	}
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}
