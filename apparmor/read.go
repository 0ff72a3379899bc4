package apparmor

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

const (
	// maxLabel is more than a page, the most that attr/current gives.
	maxLabel = 16 << 10
	// maxList has room for some hundred thousand profiles.
	maxList = 16 << 20
)

// errTooLong: a list is not searched in part, for what is missing would seem unknown.
var errTooLong = errors.New("longer than expected")

// readFile reads a file of the kernel, whose size is only known by reading it.
func readFile(path string, limit int) ([]byte, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, min(limit, 4096))
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= limit {
				return nil, &fs.PathError{Op: "read", Path: path, Err: errTooLong}
			}
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
