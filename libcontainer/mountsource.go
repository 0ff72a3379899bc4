package libcontainer

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"davit/libcontainer/plan"
	"davit/libcontainer/usermap"
	"davit/nsenter"
)

// cloneMount makes a detached clone of a mount, with its ids mapped if that is asked for.
func cloneMount(f *plan.FileRef, ids *idNamespaces) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if f.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, f.Path, flags)
	if err != nil {
		return -1, fmt.Errorf("%s: open_tree (%s): %w", f.Field, f.Path, err)
	}
	if err = spread(fd, f); err == nil && f.IDs != nil {
		err = mapIDs(fd, f, ids)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// spread takes a clone out of the host's peer groups: it was made in the
// host's mount namespace, to which nothing that the container mounts on it may propagate.
func spread(fd int, f *plan.FileRef) error {
	if f.Spread == 0 {
		return nil
	}
	err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Propagation: f.Spread &^ unix.MS_REC})
	if err == unix.ENOSYS { // before Linux 5.12
		err = unix.Mount("", "/proc/self/fd/"+strconv.Itoa(fd), "", uintptr(f.Spread), "")
	}
	if err != nil {
		return fmt.Errorf("%s: set the propagation of a clone of %s: %w", f.Field, f.Path, err)
	}
	return nil
}

// mapIDs gives a detached mount an id mapping (mount_setattr(2), Linux 5.12), and those below it if f.MapTree.
func mapIDs(fd int, f *plan.FileRef, ids *idNamespaces) error {
	ns, err := ids.open(f)
	if err != nil {
		return err
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if f.MapTree {
		flags |= unix.AT_RECURSIVE
	}
	err = unix.MountSetattr(fd, "", flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns)})
	if err == nil {
		return nil
	}
	why := ""
	switch err {
	case unix.ENOSYS:
		why = " (idmapped mounts need Linux 5.12)"
	case unix.EINVAL:
		why = " (the filesystem, " + filesystemOf(f.Path) + ", doesn't support it on this kernel, or the mount is idmapped already"
		if f.MapTree {
			why += "; so may be one below it: idmap is for the mount alone"
		}
		why += ")"
	case unix.EPERM:
		why = " (it takes CAP_SYS_ADMIN in the user namespace that the filesystem was mounted in)"
	}
	return fmt.Errorf("%s: map the ids of %s: %w%s", f.Field, f.Path, err, why)
}

// filesystemOf names the type of the filesystem that a path is on, for errors.
func filesystemOf(path string) string {
	at, err := mountPointOf(path)
	if err != nil {
		return "unknown"
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "unknown"
	}
	name := "unknown"
	for line := range strings.Lines(string(table)) {
		left, right, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if len(f) > 4 && len(g) > 0 && unescape(f[4]) == at {
			name = g[0] // the last one is on top
		}
	}
	return name
}

// idNamespaces are user namespaces that are there for their mappings alone:
// that is what the kernel takes the mapping of a mount from. They last as long
// as their descriptors.
type idNamespaces struct{ made []idNamespace }

type idNamespace struct {
	ids *plan.IDMap
	fd  int
}

// open returns a namespace with f's mapping; it stays the receiver's.
func (n *idNamespaces) open(f *plan.FileRef) (int, error) {
	same := func(m idNamespace) bool {
		return m.ids.Path == f.IDs.Path && slices.Equal(m.ids.UIDs, f.IDs.UIDs) && slices.Equal(m.ids.GIDs, f.IDs.GIDs)
	}
	if i := slices.IndexFunc(n.made, same); i >= 0 {
		return n.made[i].fd, nil
	}
	var fd int
	var err error
	if f.IDs.Path != "" {
		fd, err = openNamespace(&plan.FileRef{Kind: plan.Namespace, Path: f.IDs.Path, Type: unix.CLONE_NEWUSER, Field: f.Field})
	} else {
		fd, err = makeUserNamespace(f.Field, &f.IDs.Mappings)
	}
	if err != nil {
		return -1, err
	}
	n.made = append(n.made, idNamespace{f.IDs, fd})
	return fd, nil
}

func (n *idNamespaces) close() {
	for _, m := range n.made {
		unix.Close(m.fd)
	}
	n.made = nil
}

// makeUserNamespace makes one by a process that does nothing else.
func makeUserNamespace(field string, m *plan.Mappings) (int, error) {
	stage, err := nsenter.Start([]uintptr{0, 1, 2})
	if err != nil {
		return -1, fmt.Errorf("%s: %w", field, err)
	}
	pid := 0
	defer func() {
		stage.Close()
		if pid > 0 {
			_, _ = reap(pid)
		}
	}()
	program := nsenter.Program{{Field: field, Op: nsenter.Clone{Flags: unix.CLONE_NEWUSER, Cgroup: nsenter.None}}, {Op: nsenter.Wait{Token: uint64(nsenter.TokenMapped)}}}
	if err := stage.Send(program, nil); err != nil {
		return -1, err
	}
	report, err := stage.Receive()
	if err != nil {
		return -1, err
	}
	cloned, ok := report.(nsenter.Cloned)
	if !ok {
		return -1, fmt.Errorf("the stage reports %T", report)
	}
	pid = cloned.PID
	if err := usermap.Write(pid, m.UIDs, m.GIDs, true); err != nil {
		return -1, fmt.Errorf("%s: make a user namespace with the mount's mappings: %w", field, err)
	}
	return unix.Open(fmt.Sprintf("/proc/%d/ns/user", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}
