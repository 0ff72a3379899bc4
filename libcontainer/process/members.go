package process

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxPidNamespaces is how deep they nest (pid_namespaces(7)).
const maxPidNamespaces = 32

// Members returns the pids of all processes in the process's PID namespace and
// those below it, as the caller's /proc numbers them: the processes of a
// container that has such a namespace and no cgroup. A process that the caller
// may not look into (ptrace(2), PTRACE_MODE_READ) is left out, but for pid itself.
func Members(pid int) ([]int, error) {
	members := []int{pid}
	ns, err := openNamespace(pid)
	if err != nil {
		if err == unix.EACCES || err == unix.EPERM {
			return members, nil // not yet executed, and so not dumpable
		}
		return nil, &Error{"look into", pid, err}
	}
	defer unix.Close(ns)
	var want unix.Stat_t
	if err := unix.Fstat(ns, &want); err != nil {
		return nil, &Error{"look into", pid, err}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err == nil && n != pid && within(n, &want) {
			members = append(members, n)
		}
	}
	return members, nil
}

func openNamespace(pid int) (int, error) {
	return unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// within tells whether a process is in a PID namespace or in one below it (NS_GET_PARENT, ioctl_ns(2)).
func within(pid int, want *unix.Stat_t) bool {
	ns, err := openNamespace(pid)
	for range maxPidNamespaces {
		var st unix.Stat_t
		if err != nil {
			return false
		}
		if err := unix.Fstat(ns, &st); err == nil && st.Ino == want.Ino && st.Dev == want.Dev {
			unix.Close(ns)
			return true
		}
		parent, perr := unix.IoctlRetInt(ns, unix.NS_GET_PARENT)
		unix.Close(ns)
		ns, err = parent, perr
	}
	if err == nil {
		unix.Close(ns)
	}
	return false
}

// SignalMembers sends a signal to all of [Members]. Each is held by a pidfd
// while it is looked at once more, so that no other process gets it.
func SignalMembers(pid int, sig unix.Signal) error {
	members, err := Members(pid)
	if err != nil {
		return err
	}
	var want unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/pid", &want); err != nil {
		return &Error{"look into", pid, err}
	}
	for _, m := range members {
		if err := signalMember(m, &want, sig); err != nil {
			return &Error{"signal", m, err}
		}
	}
	return nil
}

func signalMember(pid int, want *unix.Stat_t, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !within(pid, want) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != unix.ESRCH {
		return err
	}
	return nil
}
