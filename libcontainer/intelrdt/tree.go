package intelrdt

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Tree is a resctrl filesystem (Documentation/filesystems/resctrl.rst of the
// kernel). Paths start at its mount point; errors wrap the kernel's.
type Tree interface {
	Exists(dir string) bool
	Mkdir(dir string) error
	// Rmdir removes a group with the files in it, as only the kernel's own filesystems do.
	Rmdir(dir string) error
	Read(file string) (string, error)
	// Write writes text by one call: each is a request.
	Write(file, text string) error
}

// At is the resctrl filesystem that is mounted at dir.
func At(dir string) Tree { return mounted(dir) }

type mounted string

func (m mounted) path(name string) string { return filepath.Join(string(m), name) }

func (m mounted) Exists(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(m.path(dir), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func (m mounted) Mkdir(dir string) error { return os.Mkdir(m.path(dir), 0o755) }

func (m mounted) Rmdir(dir string) error {
	if err := unix.Rmdir(m.path(dir)); err != nil {
		return &os.PathError{Op: "rmdir", Path: m.path(dir), Err: err}
	}
	return nil
}

func (m mounted) Read(file string) (string, error) {
	data, err := os.ReadFile(m.path(file))
	return string(data), err
}

func (m mounted) Write(file, text string) error {
	f, err := os.OpenFile(m.path(file), os.O_WRONLY, 0) // never made: a missing file is an error
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
