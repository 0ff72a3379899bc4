package bundle

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// maxConfigSize bounds what is read, in bytes. The largest configurations in
// use (privileged containers with every device and a full seccomp profile)
// are around 100 KiB.
const maxConfigSize = 16 << 20

// readConfig reads a whole regular file.
//
// O_NONBLOCK makes sure that a FIFO in its place can't hang the runtime. The
// system calls are made directly because os.Open would set up the runtime's
// poller for a file that is read once.
func readConfig(file string) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) {
		return nil, &fs.PathError{Op: op, Path: file, Err: err}
	}
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Open(file, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)

	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail("stat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fail("read", errors.New("not a regular file"))
	}
	if st.Size > maxConfigSize {
		return fail("read", errTooLarge(st.Size))
	}

	// The spare byte lets the read that finds the end happen without growing.
	buf := make([]byte, 0, int(st.Size)+1)
	for {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Read(fd, buf[len(buf):cap(buf)])
			return err
		})
		if err != nil {
			return fail("read", err)
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
		if len(buf) > maxConfigSize {
			return fail("read", errTooLarge(int64(len(buf))))
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

func errTooLarge(size int64) error {
	return fmt.Errorf("%d bytes or more, the limit is %d", size, maxConfigSize)
}

func ignoringEINTR(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

// notFoundError carries the phrase that engines know for a bundle without
// configuration, and stays an fs.ErrNotExist.
type notFoundError struct {
	file string
	err  error
}

func (e *notFoundError) Error() string {
	return "JSON specification file " + e.file + " not found"
}

func (e *notFoundError) Unwrap() error { return e.err }
