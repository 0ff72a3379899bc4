package libcontainer

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPasswd bounds what is read of the container's /etc/passwd, which is the image's.
const maxPasswd = 1 << 20

// homeOf finds a user's home directory in a passwd(5) file that the stage
// opened; "" if it has none. It takes over the descriptor.
func homeOf(fd int, uid uint32) string {
	f := os.NewFile(uintptr(fd), "passwd")
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPasswd))
	if err != nil {
		return ""
	}
	want := strconv.FormatUint(uint64(uid), 10)
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(fields) >= 6 && fields[2] == want {
			if strings.ContainsRune(fields[5], 0) {
				return ""
			}
			return fields[5]
		}
	}
	return ""
}
