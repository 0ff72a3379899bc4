package integration

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// seccompNotif and seccompNotifResp are those of linux/seccomp.h.
type seccompNotif struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type seccompNotifResp struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

const (
	ioctlNotifRecv = 0xc0502100
	ioctlNotifSend = 0xc0182101
)

// answer lets the first system call that a listener tells of fail with an error.
func answer(fd int, with unix.Errno) error {
	defer unix.Close(fd)
	var n seccompNotif
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlNotifRecv, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return errno
	}
	r := seccompNotifResp{id: n.id, error: -int32(with)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlNotifSend, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return errno
	}
	return nil
}
