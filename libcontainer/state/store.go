// Package state keeps on disk what commands have to know of containers that an
// earlier command made.
//
//	<root>/<id>/state.json            the Record, replaced whole by rename(2)
//	<root>/<id>/creating.json         the Record, until the container is made
//	<root>/<id>/config.json           the bundle's configuration, byte for byte
//	<root>/<id>/exec.fifo             there from create until start
//	<root>/<id>/exec/<process>/...    the same again for a parked process
//
// Each command opens a container's directory once and works below that
// descriptor. The lock of a container is a flock(2) on the directory itself:
// a crash releases it, and it cannot outlive or be mistaken for the lock of a
// later container of that ID, as a lock file's could.
//
// Nothing is synced to the disk. The store belongs on a tmpfs such as /run, and
// what it describes does not survive a loss of power either; that readers see
// either the old or the new record, rename alone ensures.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Store is the directory that holds the state of containers.
type Store struct {
	root string
	fd   int // O_PATH; -1 while there is no such directory
}

// UnsafeError reports a directory whose contents others could forge. Acting on a
// forged record would send signals and remove cgroups at their wish.
type UnsafeError struct {
	Path string
	Why  string
}

func (e *UnsafeError) Error() string { return "refusing to use " + e.Path + ": " + e.Why }

// Open opens the store in the directory root, which may be relative to the
// working directory. A missing one is made, with mode 0700 as are missing
// parents, only when the first container is; until then the store is empty.
//
// The root must belong to the effective user or to uid 0, and nobody else may
// be able to write to it. The exception is a sticky directory, such as /tmp:
// others can add entries but not exchange those of ours, and Get checks whose
// an entry is. Directories above the root are not checked.
func Open(root string) (*Store, error) {
	if root == "" {
		return nil, errors.New("state root: the --root argument is empty")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("state root: %w", err)
	}
	if root == "/" {
		//lint:ignore ST1005 callers know the phrase
		return nil, errors.New("Option --root argument should not be set to /")
	}
	s := &Store{root: root, fd: -1}
	if err := s.open(); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	fd, err := openat(unix.AT_FDCWD, s.root, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("open state root %s: %w", s.root, err)
	}
	if _, err := checkOwner(fd, s.root, unix.S_ISVTX); err != nil {
		unix.Close(fd)
		return err
	}
	s.fd = fd
	return nil
}

// Root returns the absolute path of the store.
func (s *Store) Root() string { return s.root }

// Close releases the store. Its Dirs must not be used any more.
func (s *Store) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// Create makes the directory of a new container. It is an error that wraps
// ErrExist if there is one of that ID, be it half-made or half-removed.
//
// The directory starts unlocked: a forced delete that comes first wins, and
// Lock then reports ErrNotExist.
func (s *Store) Create(id string) (*Dir, error) {
	if err := ValidateID(id); err != nil {
		return nil, err
	}
	if s.fd < 0 {
		if err := makeRoot(s.root); err != nil {
			return nil, fmt.Errorf("make state root: %w", err)
		}
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	switch err := unix.Mkdirat(s.fd, id, 0o700); err {
	case nil:
		_ = unix.Fchmodat(s.fd, id, 0o700, 0) // Get tells if that was needed and not possible
	case unix.EEXIST:
		return nil, &IDError{ID: id, Root: s.root, Err: ErrExist}
	default:
		return nil, fmt.Errorf("make %s/%s: %w", s.root, id, err)
	}
	d, err := s.Get(id)
	if err != nil {
		unix.Unlinkat(s.fd, id, unix.AT_REMOVEDIR)
		return nil, err
	}
	return d, nil
}

// makeRoot makes the root and its missing parents. The mode isn't left to the
// umask, by which the owner might not get in either; that of a directory which
// somebody else has made meanwhile stays.
func makeRoot(root string) error {
	if err := os.MkdirAll(filepath.Dir(root), 0o700); err != nil {
		return err
	}
	err := os.Mkdir(root, 0o700)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(root, 0o700)
}

// Get opens the directory of a container, finished or not. An unknown ID is an
// error that wraps ErrNotExist.
func (s *Store) Get(id string) (*Dir, error) {
	if err := ValidateID(id); err != nil {
		return nil, err
	}
	missing := &IDError{ID: id, Root: s.root, Err: ErrNotExist}
	if s.fd < 0 {
		return nil, missing
	}
	fd, err := openat(s.fd, id, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return nil, missing
	default:
		return nil, fmt.Errorf("open %s/%s: %w", s.root, id, err)
	}
	d := &Dir{store: s, id: id, fd: fd}
	st, err := checkOwner(fd, d.Path(), 0)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	d.dev, d.ino, d.owner = uint64(st.Dev), st.Ino, int(st.Uid)
	return d, nil
}

// List returns the IDs of all containers, sorted. Some may be half-made, or gone
// by the time they are looked at: their Load reports ErrNotExist.
func (s *Store) List() ([]string, error) {
	if s.fd < 0 {
		return nil, nil
	}
	fd, err := openat(s.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("list state root %s: %w", s.root, err)
	}
	f := os.NewFile(uintptr(fd), s.root)
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list state root: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && ValidateID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// checkOwner refuses a directory that others than the effective user and root
// can change, unless its mode has one of the bits of unless.
func checkOwner(fd int, path string, unless uint32) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return st, fmt.Errorf("stat %s: %w", path, err)
	}
	euid := uint32(os.Geteuid())
	if st.Uid != 0 && st.Uid != euid {
		return st, &UnsafeError{path, fmt.Sprintf(
			"it belongs to uid %d, who could forge the state that uid %d acts on (run as that user, or choose another --root)", st.Uid, euid)}
	}
	if st.Mode&0o022 != 0 && st.Mode&unless == 0 {
		return st, &UnsafeError{path, fmt.Sprintf(
			"its mode %#o lets others write to it, who could forge the state of containers (chmod go-w %s)", st.Mode&0o7777, path)}
	}
	return st, nil
}

// openat is openat(2), close-on-exec, restarted after signals.
func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0o600)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
