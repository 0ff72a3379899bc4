package libcontainer

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/bundle"
	"davit/libcontainer/plan"
)

// checkForeign refuses what would change the host although the configuration
// names a namespace for it: the one at the path is davit's own.
func (b *boot) checkForeign(fd int, f *plan.FileRef) error {
	own := ""
	switch f.Type {
	case unix.CLONE_NEWNET:
		own = "net"
	case unix.CLONE_NEWIPC:
		own = "ipc"
	case unix.CLONE_NEWUTS:
		own = "uts"
	case unix.CLONE_NEWUSER:
		own = "user"
	}
	field := changedIn(b.spec, f.Type)
	if own == "" || field == "" || !sameFile(fd, "/proc/self/ns/"+own) {
		return nil
	}
	return fmt.Errorf("%s: the namespace that %s names, %s, is the runtime's: the host's value would change", field, f.Field, f.Path)
}

// changedIn is the first field of a configuration that sets something in a type of namespace, or "".
func changedIn(spec *specs.Spec, flag uint64) string {
	if flag == unix.CLONE_NEWUTS {
		switch {
		case spec.Hostname != "":
			return "hostname"
		case spec.Domainname != "":
			return "domainname"
		}
	}
	first := ""
	for key := range spec.Linux.Sysctl {
		if plan.NamespaceFlag(bundle.SysctlNamespace(key)) == flag && (first == "" || key < first) {
			first = key
		}
	}
	if first == "" {
		return ""
	}
	return fmt.Sprintf("linux.sysctl[%q]", first)
}

func sameFile(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}
