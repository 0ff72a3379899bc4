package nsenter

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stageName is what the stage's memfd is called, in early.c too.
const stageName = "davit-stage"

// IsStage reports whether a process still runs the stage, and has not executed
// the container's program yet. The caller knows that it is one or the other, and
// asks afterwards whether the process is still the one that he means.
//
// It is an error not to be allowed to look (EACCES): for a stage, which isn't
// dumpable, that takes CAP_SYS_PTRACE in the user namespace where it was started.
func IsStage(pid int) (bool, error) {
	link := make([]byte, 64)
	n, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/exe", link)
	if err != nil {
		return false, fmt.Errorf("readlink /proc/%d/exe: %w", pid, err)
	}
	return strings.HasPrefix(string(link[:n]), "/memfd:"+stageName), nil
}

// Linux 6.3 wants to be told; without, vm.memfd_noexec=1 would take the right to execute, and the kernel log has a warning.
const (
	mfdNoExecSeal = 0x8
	mfdExec       = 0x10
)

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// sealed returns a memfd with these bytes that nobody can change any more.
func sealed(name string, data []byte, executable bool) (int, error) {
	flags, use := unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING, mfdNoExecSeal
	if executable {
		use = mfdExec
	}
	fd, err := unix.MemfdCreate(name, flags|use)
	if err == unix.EINVAL { // older than 6.3
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
