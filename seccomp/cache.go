package seccomp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Cache keeps compiled programs in a directory, one file for each.
//
// A filter is what confines the container, so an entry is believed only if no
// one else can have written it: directory and file belong to the caller's
// effective user and nobody else may write to them, the file is a regular one
// that was opened without following a link, and it carries its own key and
// digest. An entry that fails any of this is compiled anew and replaced, and
// [Filter.Warnings] says so.
//
// There are no locks. Entries are written under a name of their own and renamed,
// so readers see a whole entry or none; starters that miss at the same time
// each compile, and the last rename wins, over equal contents.
//
// The directory should be on a file system that a reboot empties, such as /run.
// A Cache may be used by several goroutines at once.
type Cache struct {
	fd   int // the directory
	path string
}

// maxEntries bounds the directory: with all entries as large as the kernel
// takes programs, some 2.5 MiB. Beyond it the entries used least recently go.
const maxEntries = 64

// touchAfter is how much younger a use makes an entry's time stamp at least:
// often used entries are written to rarely.
const touchAfter = time.Minute

// staleAfter is the age at which an unfinished write is taken for abandoned.
const staleAfter = time.Minute

const tempPrefix = "new-"

// An UntrustedError is a cache directory or an entry that others can write.
type UntrustedError struct {
	Path   string
	Reason string
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("seccomp cache: %s %s", e.Path, e.Reason)
}

// OpenCache opens the cache in dir, and makes the directory where it doesn't
// exist. A directory that others can write to, or that belongs to someone else,
// gives an *[UntrustedError]. Close the cache after use.
func OpenCache(dir string) (*Cache, error) {
	dir = filepath.Clean(dir) // with a slash at the end O_NOFOLLOW wouldn't count
	fd, err := openDir(dir)
	if err == unix.ENOENT {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("seccomp cache: %w", err)
		}
		fd, err = openDir(dir)
	}
	if err == unix.ELOOP || err == unix.ENOTDIR {
		return nil, &UntrustedError{dir, "is not a directory"}
	}
	if err != nil {
		return nil, pathError("open", dir, err)
	}
	c := &Cache{fd: fd, path: dir}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		c.Close()
		return nil, pathError("stat", dir, err)
	}
	if reason := distrust(&st); reason != "" {
		c.Close()
		return nil, &UntrustedError{dir, reason}
	}
	return c, nil
}

// Close releases the directory.
func (c *Cache) Close() error { return unix.Close(c.fd) }

// Compile is like the function [Compile], but takes the program from the cache
// if it is there and puts it there if it isn't. A cache that can't be used costs
// time and a warning, never the container.
func (c *Cache) Compile(cfg *specs.LinuxSeccomp, opts Options) (*Filter, error) {
	p, err := parse(cfg)
	if err != nil {
		return nil, err
	}
	made, warnings, err := c.get(p.key(opts), func() (*compiled, error) { return compileProfile(p, opts) })
	if err != nil {
		return nil, err
	}
	p.warnings = append(p.warnings, warnings...)
	return p.filter(made), nil
}

// get returns the entry of a key, made anew where there is none to believe.
func (c *Cache) get(key cacheKey, compile func() (*compiled, error)) (result *compiled, warnings []string, err error) {
	name := hex.EncodeToString(key[:])
	result, err = c.read(name, key)
	if err == nil {
		return result, nil, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		warnings = append(warnings, err.Error()+": compiled anew")
	}
	if result, err = compile(); err != nil {
		return nil, nil, err
	}
	if data := encodeEntry(key, result); data != nil {
		if err := c.write(name, data); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	return result, warnings, nil
}

// distrust says why others could have written a file or directory.
func distrust(st *unix.Stat_t) string {
	if euid := os.Geteuid(); int(st.Uid) != euid {
		return fmt.Sprintf("belongs to user %d, not to %d", st.Uid, euid)
	}
	if perm := st.Mode & 0o777; perm&0o022 != 0 {
		return fmt.Sprintf("can be written by others (mode %#o)", perm)
	}
	return ""
}

func (c *Cache) read(name string, key cacheKey) (*compiled, error) {
	path := c.path + "/" + name
	// O_NONBLOCK: a FIFO in place of the entry would keep open(2) waiting.
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(c.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err == unix.ELOOP {
		return nil, &UntrustedError{path, "is a symbolic link"}
	}
	if err != nil {
		return nil, pathError("open", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, pathError("stat", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &UntrustedError{path, "is not a regular file"}
	}
	if reason := distrust(&st); reason != "" {
		return nil, &UntrustedError{path, reason}
	}
	data := make([]byte, min(st.Size, maxEntry+1))
	n, err := ignoringEINTR(func() (int, error) { return unix.Pread(fd, data, 0) })
	if err != nil {
		return nil, pathError("read", path, err)
	}
	hit, err := decodeEntry(key, data[:n])
	if err != nil {
		return nil, fmt.Errorf("seccomp cache: %s %w", path, err)
	}
	if time.Since(time.Unix(st.Mtim.Unix())) > touchAfter {
		// Nothing but the order of eviction follows from it.
		_ = unix.UtimesNanoAt(c.fd, name, nil, unix.AT_SYMLINK_NOFOLLOW)
	}
	return hit, nil
}

// write puts an entry in place, whole or not at all.
func (c *Cache) write(name string, data []byte) error {
	temp := tempPrefix + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(rand.Uint64(), 36)
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(c.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return pathError("create", c.path+"/"+temp, err)
	}
	f := os.NewFile(uintptr(fd), c.path+"/"+temp)
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		if err = unix.Renameat(c.fd, temp, c.fd, name); err == nil {
			c.evict()
			return nil
		}
		err = &fs.PathError{Op: "rename", Path: c.path + "/" + name, Err: err}
	}
	_ = unix.Unlinkat(c.fd, temp, 0)
	return fmt.Errorf("seccomp cache: %w", err)
}

func openDir(dir string) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

func pathError(op, path string, err error) error {
	return fmt.Errorf("seccomp cache: %w", &fs.PathError{Op: op, Path: path, Err: err})
}
