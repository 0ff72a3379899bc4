package landlock

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// right is a right or scope: the kernel's name in lower case, its bit, and the
// version of Landlock's interface that has it (landlock(7)).
type right struct {
	name string
	bit  uint64
	abi  int
}

func fsRights() []right {
	return []right{
		{"execute", unix.LANDLOCK_ACCESS_FS_EXECUTE, 1},
		{"write_file", unix.LANDLOCK_ACCESS_FS_WRITE_FILE, 1},
		{"read_file", unix.LANDLOCK_ACCESS_FS_READ_FILE, 1},
		{"read_dir", unix.LANDLOCK_ACCESS_FS_READ_DIR, 1},
		{"remove_dir", unix.LANDLOCK_ACCESS_FS_REMOVE_DIR, 1},
		{"remove_file", unix.LANDLOCK_ACCESS_FS_REMOVE_FILE, 1},
		{"make_char", unix.LANDLOCK_ACCESS_FS_MAKE_CHAR, 1},
		{"make_dir", unix.LANDLOCK_ACCESS_FS_MAKE_DIR, 1},
		{"make_reg", unix.LANDLOCK_ACCESS_FS_MAKE_REG, 1},
		{"make_sock", unix.LANDLOCK_ACCESS_FS_MAKE_SOCK, 1},
		{"make_fifo", unix.LANDLOCK_ACCESS_FS_MAKE_FIFO, 1},
		{"make_block", unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK, 1},
		{"make_sym", unix.LANDLOCK_ACCESS_FS_MAKE_SYM, 1},
		{"refer", unix.LANDLOCK_ACCESS_FS_REFER, 2},
		{"truncate", unix.LANDLOCK_ACCESS_FS_TRUNCATE, 3},
		{"ioctl_dev", unix.LANDLOCK_ACCESS_FS_IOCTL_DEV, 5},
	}
}

func netRights() []right {
	return []right{
		{"bind_tcp", unix.LANDLOCK_ACCESS_NET_BIND_TCP, 4},
		{"connect_tcp", unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, 4},
	}
}

func scopes() []right {
	return []right{
		{"abstract_unix_socket", unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, 6},
		{"signal", unix.LANDLOCK_SCOPE_SIGNAL, 6},
	}
}

// What "all" means in the lists of what is handled.
const (
	everyFS    = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV<<1 - 1
	everyNet   = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	everyScope = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
)

// FileRights are the rights that a rule for something else than a directory can have.
const FileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
	unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

func bitOf(name string, rights []right) uint64 {
	for _, r := range rights {
		if r.name == name {
			return r.bit
		}
	}
	return 0
}

func names(bits uint64, rights []right) []string {
	var list []string
	for _, r := range rights {
		if bits&r.bit != 0 {
			list = append(list, r.name)
		}
	}
	return list
}

// upTo are the rights that a version of the interface has.
func upTo(abi int, rights []right) (bits uint64) {
	for _, r := range rights {
		if r.abi <= abi {
			bits |= r.bit
		}
	}
	return bits
}

// Fit returns the policy as a kernel with this version of the interface can
// enforce it; 0 stands for a kernel without Landlock. What such a kernel lacks
// is an error, or in a best-effort policy left out and listed in Dropped. A
// best-effort policy of which nothing is left has no handled rights at all.
func (p *Policy) Fit(abi int) (*Policy, error) {
	fit := *p
	fit.Paths, fit.Ports, fit.Dropped = nil, nil, nil
	for _, set := range []struct {
		list   string
		bits   *uint64
		rights []right
	}{{"handledAccessFS", &fit.FS, fsRights()}, {"handledAccessNet", &fit.Net, netRights()}, {"scoped", &fit.Scoped, scopes()}} {
		lost := *set.bits &^ upTo(abi, set.rights)
		if lost == 0 {
			continue
		}
		missing := fmt.Sprintf("%s: %s", set.list, strings.Join(names(lost, set.rights), ", "))
		if !p.BestEffort {
			return nil, errorf(set.list, "%s: %s", strings.Join(names(lost, set.rights), ", "), lack(abi))
		}
		fit.Dropped = append(fit.Dropped, missing)
		*set.bits &^= lost
	}
	for _, r := range p.Paths {
		if r.Access &= fit.FS; r.Access != 0 {
			fit.Paths = append(fit.Paths, r)
		}
	}
	for _, r := range p.Ports {
		if r.Access &= fit.Net; r.Access != 0 {
			fit.Ports = append(fit.Ports, r)
		}
	}
	return &fit, nil
}

func lack(abi int) string {
	if abi == 0 {
		return `this kernel has no Landlock, or it was turned off at boot ("mode": "best-effort" goes on without)`
	}
	return fmt.Sprintf(`this kernel's Landlock, ABI %d, is too old ("mode": "best-effort" goes on without)`, abi)
}

// Attr is a struct landlock_ruleset_attr in native byte order, as long as a
// kernel with this version of the interface has it.
func (p *Policy) Attr(abi int) []byte {
	words := []uint64{p.FS}
	if abi >= 4 {
		words = append(words, p.Net)
	}
	if abi >= 6 {
		words = append(words, p.Scoped)
	}
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}
