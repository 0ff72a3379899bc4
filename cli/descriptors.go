package cli

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"davit/libcontainer"
)

// takeDescriptors counts the descriptors from 3 on that the caller has left
// open, up to the first gap, and lets none of them go to what davit starts:
// engines leave many open that are nobody's business, not a hook's, and a
// container's only if it is asked for.
//
// What davit and the Go runtime open themselves may fill a gap, and then must
// not be taken for the caller's: the container would get it (CVE-2024-21626).
// Theirs close on exec, and the caller's have just gone through one.
func takeDescriptors() int {
	n := 0
	for {
		flags, err := unix.FcntlInt(uintptr(3+n), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			break
		}
		n++
	}
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11; what davit starts is given its descriptors one by one
	return n
}

// checkDescriptors refuses to pass on what the caller hasn't opened.
func (a *app) checkDescriptors(o *libcontainer.ProcessOptions) error {
	if want := o.ListenFDs + o.PreserveFDs; want > a.inherited {
		return fmt.Errorf("unable to stat preserved-fd %d (of %d): %w", 3+a.inherited, want, unix.EBADF)
	}
	return nil
}
