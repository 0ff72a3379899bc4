package libcontainer

import (
	"fmt"
	"os"
	"strconv"
)

// ListenFDs tells how many sockets the caller was activated with for its
// container, which begin at descriptor 3 (sd_listen_fds(3)).
func ListenFDs() (int, error) {
	v := os.Getenv("LISTEN_FDS")
	if v == "" {
		return 0, nil
	}
	// Meant for another process, such as the one that started this.
	if pid := os.Getenv("LISTEN_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("environment variable LISTEN_FDS: %q is no number of descriptors", v)
	}
	return n, nil
}
