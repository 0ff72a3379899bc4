package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The names in a container's directory. exec.fifo is known to engines' plugins,
// which look for it among the descriptors of the container's first process.
const (
	recordName = "state.json"
	unfinished = "creating.json" // the record, until the container is made
	configName = "config.json"
	cgroupName = "cgroup"
	fifoName   = "exec.fifo"
	execName   = "exec"
)

// No file of a container is larger: one that is was not written by us.
const maxFile = 64 << 20

// Dir is the directory of one container. It is not safe for use by several
// goroutines at once.
type Dir struct {
	store    *Store
	id       string
	fd       int // O_RDONLY, so that it can be locked
	dev, ino uint64
	owner    int
	held     bool // the lock is ours
	creating bool // Load found the record of a container that wasn't made yet
}

// ID returns the container's ID.
func (d *Dir) ID() string { return d.id }

// Path returns the absolute path of the directory.
func (d *Dir) Path() string { return d.store.root + "/" + d.id }

// Owner returns the uid, in the caller's user namespace, of the user who made
// the container.
func (d *Dir) Owner() int { return d.owner }

// ExecPath returns the path of the directory of a process that was parked in the
// container by a two-phase exec. It is laid out like that of a container, and
// its names follow the rules of container IDs. It may not exist.
func (d *Dir) ExecPath(process string) (string, error) {
	if err := ValidateID(process); err != nil {
		return "", fmt.Errorf("process of container %q: %w", d.id, err)
	}
	return filepath.Join(d.Path(), execName, process), nil
}

// Close releases the directory, and the lock if it is held.
func (d *Dir) Close() error {
	if d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	return unix.Close(fd)
}

// Lock takes the exclusive right to change the container, and waits until ctx is
// done for whoever holds it; then the error wraps ErrLocked and the context's.
// If the container was removed while Lock waited, the error wraps ErrNotExist.
// The lock ends with Unlock, Close, or the process.
func (d *Dir) Lock(ctx context.Context) error {
	if ctx.Done() == nil {
		return d.flock(unix.LOCK_EX)
	}
	// flock(2) cannot be told when to give up.
	pause := time.Millisecond
	for {
		err := d.TryLock()
		if err == nil || !isLocked(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// TryLock is Lock without waiting: the error wraps ErrLocked if somebody else
// holds the lock.
func (d *Dir) TryLock() error { return d.flock(unix.LOCK_EX | unix.LOCK_NB) }

func isLocked(err error) bool {
	e, ok := err.(*IDError)
	return ok && e.Err == ErrLocked
}

func (d *Dir) flock(how int) error {
	err := unix.EINTR
	for err == unix.EINTR {
		err = flock(d.fd, how)
	}
	switch err {
	case 0:
	case unix.EWOULDBLOCK:
		return &IDError{ID: d.id, Root: d.store.root, Err: ErrLocked}
	default:
		return fmt.Errorf("lock %s: %w", d.Path(), err)
	}
	if !d.linked() {
		flock(d.fd, unix.LOCK_UN)
		return d.removed()
	}
	d.held = true
	return nil
}

func flock(fd, how int) unix.Errno {
	err, _ := unix.Flock(fd, how).(unix.Errno)
	return err
}

// Unlock gives the lock back.
func (d *Dir) Unlock() error {
	if err := flock(d.fd, unix.LOCK_UN); err != 0 {
		return fmt.Errorf("unlock %s: %w", d.Path(), err)
	}
	d.held = false
	return nil
}

// Held reports whether the lock is ours.
func (d *Dir) Held() bool { return d.held }

// Busy reports whether somebody else holds the lock.
func (d *Dir) Busy() bool {
	if d.held {
		return false
	}
	if flock(d.fd, unix.LOCK_SH|unix.LOCK_NB) != 0 {
		return true
	}
	flock(d.fd, unix.LOCK_UN)
	return false
}

// linked reports whether the container's name still means this directory.
func (d *Dir) linked() bool {
	var st unix.Stat_t
	err := unix.Fstatat(d.store.fd, d.id, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && uint64(st.Dev) == d.dev && st.Ino == d.ino
}

func (d *Dir) removed() error {
	return &IDError{ID: d.id, Root: d.store.root, Why: "it has just been removed", Err: ErrNotExist}
}

// SaveConfig keeps the bundle's configuration as it was when the container was
// created: later changes to the bundle must not affect it (runtime-spec,
// runtime.md, "Create").
func (d *Dir) SaveConfig(raw []byte) error { return d.writeFile(configName, raw, d.rename) }

// LoadConfig returns what SaveConfig kept, byte for byte.
func (d *Dir) LoadConfig() ([]byte, error) {
	b, err := d.readFile(configName)
	if err == unix.ENOENT {
		return nil, d.unrecorded()
	}
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", d.Path(), configName, err)
	}
	return b, nil
}

// SaveCgroup keeps where a cgroup is about to be made that doesn't follow from the
// configuration: without a record nobody else would know of it.
func (d *Dir) SaveCgroup(path string) error { return d.writeFile(cgroupName, []byte(path), d.rename) }

// LoadCgroup returns what SaveCgroup kept, "" for nothing.
func (d *Dir) LoadCgroup() (string, error) {
	b, err := d.readFile(cgroupName)
	if err != nil && err != unix.ENOENT {
		return "", fmt.Errorf("read %s/%s: %w", d.Path(), cgroupName, err)
	}
	return string(b), nil
}

func (d *Dir) unrecorded() error {
	return &IDError{ID: d.id, Root: d.store.root, Err: ErrNotExist,
		Why: "its creation was not finished, or is not yet; delete --force removes what is left of it"}
}

// MakeFifo makes the FIFO on which the container's first process waits for
// start. It belongs to the container's root, who is uid and gid in the caller's
// user namespace, and whose process opens it for writing.
func (d *Dir) MakeFifo(uid, gid int) error {
	if err := unix.Mknodat(d.fd, fifoName, unix.S_IFIFO|0o622, 0); err != nil {
		return fmt.Errorf("make %s/%s: %w", d.Path(), fifoName, err)
	}
	// Not left to the umask, which a library must not change.
	err := unix.Fchmodat(d.fd, fifoName, 0o622, 0)
	if err == nil {
		err = unix.Fchownat(d.fd, fifoName, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		unix.Unlinkat(d.fd, fifoName, 0)
		return fmt.Errorf("give %s/%s to %d:%d: %w", d.Path(), fifoName, uid, gid, err)
	}
	return nil
}

// RemoveFifo removes the FIFO: the container is not "created" any more. That it
// is gone already is no error.
func (d *Dir) RemoveFifo() error {
	if err := unix.Unlinkat(d.fd, fifoName, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %s/%s: %w", d.Path(), fifoName, err)
	}
	return nil
}

// HasFifo reports whether the container's first process still waits for start.
func (d *Dir) HasFifo() bool {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, fifoName, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// OpenFifoPath opens the FIFO with O_PATH. The descriptor, handed to the
// container's first process, is opened again there through /proc/self/fd, for
// which that process needs no access to the store.
func (d *Dir) OpenFifoPath() (*os.File, error) {
	name := d.Path() + "/" + fifoName
	fd, err := openat(d.fd, fifoName, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return nil, fmt.Errorf("open %s: it is not a FIFO", name)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// writeFile writes a file under another name and moves it to its own at once: a
// reader, or a crash, finds the old or the new one. Two writers at a time would
// share the temporary file; the lock keeps them apart.
func (d *Dir) writeFile(name string, data []byte, move func(from, to string) error) error {
	temp := name + ".tmp"
	fd, err := openat(d.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW)
	if err == unix.ENOENT {
		return d.removed()
	}
	if err != nil {
		return fmt.Errorf("create %s/%s: %w", d.Path(), temp, err)
	}
	if err = unix.Fchmod(fd, 0o600); err == nil { // whatever the umask
		err = writeAll(fd, data)
	}
	if cerr := unix.Close(fd); err == nil && cerr != unix.EINTR {
		err = cerr
	}
	if err == nil {
		err = move(temp, name)
	}
	if err != nil {
		unix.Unlinkat(d.fd, temp, 0)
		return fmt.Errorf("write %s/%s: %w", d.Path(), name, err)
	}
	return nil
}

// replace renames temp to name. A plain rename over an old file makes ext4 write
// out the new one at once (auto_da_alloc, ext4(5)), which takes longer than all
// the rest and guards against a loss of power, which no container survives.
// Exchanging the two and removing the old one is as atomic, and free of that.
func (d *Dir) replace(temp, name string) error {
	if unix.Renameat2(d.fd, temp, d.fd, name, unix.RENAME_EXCHANGE) == nil {
		return unix.Unlinkat(d.fd, temp, 0)
	}
	// There is no old file, or the filesystem cannot exchange.
	return d.rename(temp, name)
}

// rename is for a name that is new.
func (d *Dir) rename(from, to string) error { return unix.Renameat(d.fd, from, d.fd, to) }

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// readFile returns the kernel's bare error number where there is one.
func (d *Dir) readFile(name string) ([]byte, error) {
	// O_NONBLOCK: whatever has the name, opening it returns.
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxFile {
		return nil, fmt.Errorf("it is not a regular file of at most %d MiB", maxFile>>20)
	}
	data := make([]byte, st.Size)
	have := 0
	for have < len(data) {
		n, err := unix.Read(fd, data[have:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		have += n
	}
	return data[:have], nil
}
