package cgroups

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Owner returns the host uid that a container's v2 cgroup is to belong to, or nil if it
// isn't to be delegated: runtime-spec ("Cgroup ownership") wants a new cgroup namespace
// and a writable cgroup mount on /sys/fs/cgroup. It is pure.
func Owner(spec *specs.Spec) *uint32 {
	if spec.Linux == nil || spec.Process == nil {
		return nil
	}
	fresh := func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace && n.Path == "" }
	if !slices.ContainsFunc(spec.Linux.Namespaces, fresh) || !slices.ContainsFunc(spec.Mounts, isWritableCgroup) {
		return nil
	}
	uid := spec.Process.User.UID
	inUserNS := slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace })
	if !inUserNS {
		if uid == 0 {
			return nil // as it is
		}
		return &uid
	}
	for _, m := range spec.Linux.UIDMappings {
		if uid >= m.ContainerID && uid-m.ContainerID < m.Size {
			host := m.HostID + (uid - m.ContainerID)
			return &host
		}
	}
	return nil // a namespace to be joined may map it, but that isn't in the config
}

func isWritableCgroup(m specs.Mount) bool {
	return m.Source == "cgroup" && path.Clean(m.Destination) == defaultMount && !slices.Contains(m.Options, "ro")
}

// delegateFile lists the files that come with a delegated cgroup; since Linux 4.15.
const delegateFile = "/sys/kernel/cgroup/delegate"

// delegate gives the unified group to cfg.Owner: the directory and the files of the
// kernel's list, those that exist.
func (m *manager) delegate() error {
	g := m.unified()
	if m.cfg.Owner == nil || g == nil {
		return nil
	}
	if err := g.open(); err != nil {
		return err
	}
	names := []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}
	if list, err := os.ReadFile(delegateFile); err == nil {
		names = strings.Fields(string(list))
	}
	for _, name := range append(names, ".") {
		err := unix.Fchownat(g.fd, name, int(*m.cfg.Owner), -1, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && err != unix.ENOENT {
			return fmt.Errorf("delegate cgroup to uid %d: chown %s: %w", *m.cfg.Owner, g.file(name), err)
		}
	}
	return nil
}
