package process

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// stat is what davit needs of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	state     byte   // field 3
	threads   int    // field 20
	startTime uint64 // field 22, clock ticks since boot
}

// dead reports that nothing of the process runs any more. A process whose first
// thread called pthread_exit(3) is 'Z' too, but still counts the others.
func (s stat) dead() bool {
	switch s.state {
	case 'Z':
		return s.threads <= 1
	case 'X', 'x':
		return true
	}
	return false
}

// readStat reads the state of the process that has the pid now.
func readStat(pid int) (stat, error) {
	// 52 fields of at most 20 digits and a name of 64 bytes fit. Only the first
	// 22 are looked at.
	var buf [1280]byte
	b, err := readProc(pid, "/stat", buf[:])
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// readProc reads the start of /proc/PID/NAME into buf with one read.
func readProc(pid int, name string, buf []byte) ([]byte, error) {
	fd, err := openProc(pid, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := readFD(fd, buf)
	if err == unix.ESRCH {
		return nil, ErrGone // it was reaped after the open
	}
	if err != nil {
		return nil, fmt.Errorf("read /proc/%d%s: %w", pid, name, err)
	}
	return buf[:n], nil
}

// openProc opens /proc/PID/NAME; name starts with a slash. Its errors tell a
// process that is gone (ErrGone) from one that cannot be seen (ErrHidden).
func openProc(pid int, name string) (int, error) {
	if pid <= 0 {
		return -1, ErrGone
	}
	var arr [40]byte
	path := string(append(strconv.AppendInt(append(arr[:0], "/proc/"...), int64(pid), 10), name...))
	for retried := false; ; retried = true {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return fd, nil
		case err == unix.EINTR:
			continue
		case err == unix.ESRCH:
			return -1, ErrGone
		case err != unix.ENOENT:
			return -1, fmt.Errorf("open %s: %w", path, err)
		}
		if unix.Kill(pid, 0) == unix.ESRCH {
			return -1, ErrGone
		}
		// There is a process. Either /proc hides it, or the pid was given to a
		// new process between the two calls: then a second look finds that.
		if retried {
			return -1, ErrHidden
		}
	}
}

func readFD(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		if err != unix.EINTR {
			return n, err
		}
	}
}

var errStat = errors.New("/proc/PID/stat: unexpected format")

// parseStat takes the fields from the line of /proc/PID/stat. The second field,
// the name, stands in parentheses and may hold anything, parentheses, spaces
// and newlines included; no later field holds a ')', so the last one ends it.
func parseStat(line []byte) (stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 || end+2 >= len(line) || line[end+1] != ' ' {
		return stat{}, errStat
	}
	const first, last = 3, 22 // the numbers of the fields that follow the name
	var st stat
	rest := line[end+2:]
	for field := first; field <= last; field++ {
		word, after, found := bytes.Cut(rest, []byte{' '})
		if !found && field < last {
			return stat{}, errStat
		}
		rest = after
		switch field {
		case 3:
			if len(word) != 1 {
				return stat{}, errStat
			}
			st.state = word[0]
		case 20:
			n, ok := parseUint(word)
			if !ok || n > 1<<30 {
				return stat{}, errStat
			}
			st.threads = int(n)
		case 22:
			n, ok := parseUint(word)
			if !ok {
				return stat{}, errStat
			}
			st.startTime = n
		}
	}
	return st, nil
}

// parseUint parses decimal digits without making a string of them.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
