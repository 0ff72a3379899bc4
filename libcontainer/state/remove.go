package state

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bounds of Remove: nothing that davit makes is nested deeper than
// exec/PROCESS/notify, and a directory that keeps filling up is not its own.
const (
	maxDepth  = 8
	maxPasses = 8
)

// Remove removes the container's directory with all that is in it, whatever
// state it is in; a directory that is gone already is no error. It follows no
// symbolic link and enters no mount. The record goes last, so that a removal
// that was cut short can be repeated with all that the record knows.
//
// The caller has stopped the container, and holds the lock. The Dir is good for
// nothing but Close afterwards.
func (d *Dir) Remove() error {
	for range maxPasses {
		if err := d.empty(d.fd, d.Path(), 0); err != nil {
			return err
		}
		if err := d.removeRecord(); err != nil {
			return err
		}
		if !d.linked() {
			return nil // the name is free, or another container's by now
		}
		switch err := unix.Unlinkat(d.store.fd, d.id, unix.AT_REMOVEDIR); err {
		case nil, unix.ENOENT:
			return nil
		case unix.ENOTEMPTY:
		default:
			return fmt.Errorf("remove %s: %w", d.Path(), err)
		}
	}
	return fmt.Errorf("remove %s: somebody keeps putting files there", d.Path())
}

// removeRecord removes the record, finished or not.
func (d *Dir) removeRecord() error {
	for _, name := range [...]string{recordName, unfinished} {
		err := unix.Unlinkat(d.fd, name, 0)
		if err == nil {
			return nil
		}
		if err != unix.ENOENT {
			return fmt.Errorf("remove %s/%s: %w", d.Path(), name, err)
		}
	}
	return nil
}

// empty removes what is in a directory, except the record. It removes all it
// can, and returns the errors of the rest.
func (d *Dir) empty(fd int, path string, depth int) error {
	// A second descriptor: reading the first would move its offset.
	own, err := openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	f := os.NewFile(uintptr(own), path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if errors.Is(err, unix.ENOENT) {
		return nil // the directory itself has been removed
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	var errs []error
	for _, name := range names {
		if depth == 0 && (name == recordName || name == unfinished) {
			continue
		}
		if err := d.removeEntry(fd, name, path+"/"+name, depth+1); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (d *Dir) removeEntry(fd int, name, path string, depth int) error {
	err := unix.Unlinkat(fd, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if depth > maxDepth {
		return fmt.Errorf("remove %s: nested too deeply to be a container's state", path)
	}
	// A mount below the store shows somebody's data, not state.
	sub, err := unix.Openat2(fd, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	switch err {
	case nil:
	case unix.ENOENT:
		return nil
	case unix.EXDEV:
		return fmt.Errorf("remove %s: it is a mount point; unmount it first: %w", path, unix.EBUSY)
	default:
		return fmt.Errorf("remove %s: %w", path, err)
	}
	err = d.empty(sub, path, depth)
	unix.Close(sub)
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}
