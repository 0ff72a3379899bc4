package cli

import (
	"fmt"

	"golang.org/x/sys/unix"

	"davit/libcontainer"
)

// inherited counts the descriptors from 3 on that the caller has left open,
// up to the first gap. It has to be called before davit opens anything: what is
// its own would fill the gap, and the container would get it (CVE-2024-21626).
func inherited() int {
	n := 0
	for {
		if _, err := unix.FcntlInt(uintptr(3+n), unix.F_GETFD, 0); err != nil {
			return n
		}
		n++
	}
}

// checkDescriptors refuses to pass on what the caller hasn't opened.
func (a *app) checkDescriptors(o *libcontainer.ProcessOptions) error {
	if want := o.ListenFDs + o.PreserveFDs; want > a.inherited {
		return fmt.Errorf("unable to stat preserved-fd %d (of %d): %w", 3+a.inherited, want, unix.EBADF)
	}
	return nil
}
