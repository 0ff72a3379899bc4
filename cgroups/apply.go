package cgroups

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// limit sets the container's resources in its new cgroups. fresh is set if all of them
// were made by this Create, and so have the kernel's defaults.
func (m *manager) limit(fresh bool) error {
	res := m.cfg.Resources
	if res == nil {
		return nil
	}
	if (m.cfg.Rootless || m.cfg.Disabled) && len(m.groups) == 0 {
		res = m.withoutDevices(res)
		m.cfg.Resources = res
	}
	writes, err := m.batch()
	if err != nil {
		return err
	}
	if fresh {
		writes = slices.DeleteFunc(writes, func(w Write) bool { return w.Default })
	}
	if _, err = m.apply(writes); err != nil {
		return err
	}
	return m.attachDevices(res.Devices, fresh)
}

// batch translates the container's resources and tells what was ignored.
func (m *manager) batch() ([]Write, error) {
	writes, warnings, err := Batch(m.cfg.Resources, m.layout(), m.cfg.OCIVersion)
	if err == nil {
		m.warn(warnings)
	}
	return writes, err
}

// apply writes a batch and returns what it wrote. The kernel checks some limits against
// each other at every write (memory against memory+swap, quota and burst against period),
// so a value may only fit when another has changed: what is invalid is tried again after
// the rest, as long as that gets anywhere.
func (m *manager) apply(writes []Write) (done []Write, err error) {
	var f file
	defer f.close()
	for len(writes) > 0 {
		var later []Write
		var first error
		for _, w := range writes {
			err := m.write(&f, w)
			switch {
			case err == nil:
				done = append(done, w)
			case errors.Is(err, unix.EINVAL) && w.Controller != devicesController: // there, order counts
				later = append(later, w)
				if first == nil {
					first = err
				}
			default:
				return done, err
			}
		}
		if len(later) == len(writes) {
			return done, first
		}
		writes = later
	}
	return done, nil
}

// file is the last file written: neighbouring writes often go to the same one.
type file struct {
	group *group
	name  string
	fd    int
}

func (f *file) write(g *group, name, value string) error {
	if f.group != g || f.name != name {
		f.close()
		fd, err := openRetry(g.fd, name, unix.O_WRONLY)
		if err != nil {
			return err
		}
		f.group, f.name, f.fd = g, name, fd
	}
	return writeFd(f.fd, value)
}

func (f *file) close() {
	if f.group != nil {
		unix.Close(f.fd)
		f.group = nil
	}
}

// write writes one value.
func (m *manager) write(f *file, w Write) error {
	g := m.groupOf(w)
	if g == nil {
		return &ControllerError{Controller: w.Controller, Field: w.Field, Reason: ": the container has no cgroup in its hierarchy"}
	}
	if err := g.open(); err != nil {
		return err
	}
	err := f.write(g, w.File, w.Value)
	if err == unix.ENOENT && w.Unified && w.Controller != "" {
		enabled, failure := m.require(g, w)
		switch {
		case failure != nil && !w.Default:
			return failure
		case enabled:
			err = f.write(g, w.File, w.Value)
		}
	}
	switch {
	case err == nil:
		return nil
	case err == unix.ENOENT && w.Else != nil:
		return m.write(f, *w.Else)
	case err == unix.ENOENT && (w.Default || w.Optional), beyondParent(w, err):
		return nil
	}
	failure := &WriteError{Field: w.Field, Path: g.file(w.File), Value: w.Value, Err: err}
	if w.Controller == devicesController && m.toleratesDevices(failure) {
		return nil
	}
	return failure
}

func (m *manager) groupOf(w Write) *group {
	if w.Unified {
		return m.unified()
	}
	return m.v1(w.Controller)
}

// require enables the controller of a write down to the container's cgroup, after the
// write didn't find its file. done is false if the controller was there all the time.
func (m *manager) require(g *group, w Write) (done bool, err error) {
	own, err := g.read("cgroup.controllers")
	if err != nil {
		return false, err
	}
	if slices.Contains(strings.Fields(own), w.Controller) {
		return false, nil
	}
	root := g.root()
	available, err := readAt(unix.AT_FDCWD, root+"/cgroup.controllers")
	if err != nil {
		return false, &os.PathError{Op: "read", Path: root + "/cgroup.controllers", Err: err}
	}
	if !slices.Contains(strings.Fields(available), w.Controller) {
		return false, &ControllerError{Controller: w.Controller, Field: w.Field, Reason: whyAbsent(w.Controller)}
	}
	err = g.eachParent(func(dir string) error {
		err := enable(dir, w.Controller)
		if err == nil {
			return nil
		}
		reason := fmt.Sprintf(": it can't be enabled in %s: %v", dir, err)
		switch err {
		case unix.EBUSY:
			reason += ", as that cgroup has processes of its own; move them to a cgroup below it first"
		case unix.EOPNOTSUPP:
			reason += ", as that cgroup is threaded; use a cgroupsPath below a domain cgroup"
		case unix.EACCES, unix.EPERM, unix.EROFS:
			reason += "; have the controller delegated to the caller"
		}
		return &ControllerError{Controller: w.Controller, Field: w.Field, Reason: reason}
	})
	return err == nil, err
}

// root returns the hierarchy's mount point. For a recorded directory that is the topmost
// parent that has a cgroup's files.
func (g *group) root() string {
	if g.mount != "" {
		return g.mount
	}
	top := g.dir
	for i := len(g.dir) - 1; i > 0; i-- {
		if g.dir[i] != '/' {
			continue
		}
		if unix.Access(g.dir[:i]+"/cgroup.controllers", unix.F_OK) != nil {
			break
		}
		top = g.dir[:i]
	}
	g.mount = top
	return top
}

// whyAbsent says where a controller is that the unified hierarchy doesn't offer.
func whyAbsent(controller string) string {
	const where = " on this host's cgroup v2 "
	v1Name := controller
	if controller == "io" {
		v1Name = "blkio"
	}
	table, _ := os.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(table)) {
		// #subsys_name	hierarchy	num_cgroups	enabled
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != v1Name {
			continue
		}
		switch {
		case f[3] == "0":
			return where + "(it is disabled on the kernel's command line, cgroup_disable=" + v1Name + "); remove the limit, or boot without that"
		case f[1] != "0":
			return where + "(it is bound to cgroup v1); remove the limit, or boot with cgroup_no_v1=" + v1Name
		}
	}
	return where + "(the kernel lacks it, or it is not delegated to this part of the hierarchy); remove the limit, or have it delegated"
}
