package criu

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLogTail is how much of a log's end is looked at for errors.
const maxLogTail = 256 << 10

// LastErrors returns the last errors in a log of CRIU's, at most max lines, the
// oldest first, without their time stamps.
func LastErrors(dir int, name string, max int) []string {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(end-min(end, maxLogTail), io.SeekStart)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxLogTail))
	if err != nil {
		return nil
	}
	return lastErrors(string(data), max)
}

// lastErrors picks lines such as
//
//	(00.012345)      1: Error (criu/mount.c:1234): mnt: …
func lastErrors(log string, max int) []string {
	var lines []string
	for line := range strings.Lines(log) {
		i := strings.Index(line, "Error (")
		if i < 0 {
			continue
		}
		line = strings.TrimSpace(line[i+len("Error "):])
		if _, message, ok := strings.Cut(line, "): "); ok {
			line = message
		}
		if strings.HasSuffix(line, " FAILED.") { // "Dumping FAILED.", which is known
			continue
		}
		if len(lines) == max {
			lines = append(lines[:0], lines[1:]...)
		}
		lines = append(lines, line)
	}
	return lines
}
