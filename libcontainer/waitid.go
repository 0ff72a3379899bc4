package libcontainer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitedPID is si_pid of waitid(2): the first field of the union behind three
// ints, aligned to a pointer. 0 says that no child had ended.
func waitedPID(info *unix.Siginfo) int {
	const offset = 3*4 + unsafe.Sizeof(uintptr(0)) - 4
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
