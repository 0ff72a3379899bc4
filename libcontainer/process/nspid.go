package process

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

var errNSpid = errors.New("/proc/PID/status: no valid NSpid line")

// NSpid returns the process's pid as the process itself sees it: in the
// innermost pid namespace it is a member of. For the init of a container with a
// pid namespace of its own that is 1, and for a process without one, its pid.
func NSpid(pid int) (int, error) {
	n, err := nspid(pid)
	if err != nil {
		return 0, &Error{"find the inner pid of", pid, err}
	}
	return n, nil
}

func nspid(pid int) (int, error) {
	fd, err := openProc(pid, "/status")
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)

	// The line is looked for in a window that slides over the file, because the
	// Groups line above it grows to hundreds of KiB (65536 groups, setgroups(2)).
	// The name, in the first line, has its newlines escaped by the kernel.
	var buf [4096]byte
	have := 0
	for {
		n, err := readFD(fd, buf[have:])
		if err == unix.ESRCH || err == nil && n == 0 {
			// A process that is reaped in mid-file ends the file early.
			return 0, ErrGone
		}
		if err != nil {
			return 0, err
		}
		have += n
		key := []byte("\nNSpid:")
		at := bytes.Index(buf[:have], key)
		if at < 0 {
			// Keep what may be the start of the key.
			have = copy(buf[:], buf[max(0, have-len(key)+1):have])
			continue
		}
		line, _, whole := bytes.Cut(buf[at+len(key):have], []byte{'\n'})
		if whole {
			return lastPid(line)
		}
		if at == 0 && have == len(buf) {
			return 0, errNSpid
		}
		have = copy(buf[:], buf[at:have])
	}
}

// lastPid parses the last of the numbers in an NSpid line: at most 33, one for
// each level of pid namespaces (pid_namespaces(7)).
func lastPid(line []byte) (int, error) {
	line = bytes.TrimRight(line, " \t")
	n, ok := parseUint(line[bytes.LastIndexAny(line, " \t")+1:])
	if !ok || n == 0 || n > 1<<22 {
		return 0, errNSpid
	}
	return int(n), nil
}
