package nsenter

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const mfdExec = 0x10 // MFD_EXEC of Linux 6.3: needed where vm.memfd_noexec is 1

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealed returns a memfd with these bytes that nobody can change any more.
func sealed(name string, data []byte, executable bool) (int, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := -1, error(unix.EINVAL)
	if executable {
		fd, err = unix.MemfdCreate(name, flags|mfdExec)
	}
	if err == unix.EINVAL { // older than 6.3, or not executable
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	for rest := data; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("write to memfd: %w", err)
		}
		rest = rest[n:]
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("seal memfd: %w", err)
	}
	return fd, nil
}
