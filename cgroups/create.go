package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (m *manager) Create() (err error) {
	defer func() {
		if err != nil {
			m.undo()
		}
	}()
	if m.cfg.Disabled && m.cfg.Path != "" {
		m.warn([]Warning{{Field: "linux.cgroupsPath", Text: "ignored, as the container is to have no cgroup"}})
	}
	kept := m.groups[:0:0]
	allFresh := true
	for _, g := range m.groups {
		fresh, err := m.createGroup(g)
		if m.tolerates(err) {
			g.undo()
			fresh, err = m.createBeside(g)
		}
		if m.tolerates(err) {
			g.undo()
			continue
		}
		if err != nil {
			if m.cfg.Path != "" && isPermission(err) {
				err = fmt.Errorf("%w (linux.cgroupsPath asks for it: have its parent delegated to the caller, or leave it out)", err)
			}
			return err
		}
		allFresh = allFresh && fresh
		kept = append(kept, g)
	}
	m.groups = kept
	if !allFresh || m.nested() {
		if err := m.checkFrozen(); err != nil {
			return err
		}
	}
	if err := m.limit(allFresh); err != nil {
		return err
	}
	return m.delegate()
}

// tolerates tells an error of a caller who may not make a cgroup that nobody asks for.
func (m *manager) tolerates(err error) bool {
	return m.cfg.Rootless && m.cfg.Path == "" && isPermission(err)
}

// createBeside makes the directory beside the caller's own, where that part of the unified
// hierarchy is delegated to him. Below his own it couldn't have controllers, as he is in there
// himself; and nobody but the owner of a cgroup above both could move a process to another
// part (cgroups(7), "no internal processes" rule, "Delegation containment rules").
func (m *manager) createBeside(g *group) (fresh bool, err error) {
	if !g.unified || len(m.groups) != 1 {
		return false, unix.EACCES
	}
	caller, err := CallerPaths(&Layout{Mode: V2, Unified: g.mount})
	if err != nil {
		return false, err
	}
	own, ok := caller[""]
	if !ok || own == g.mount {
		return false, unix.EACCES
	}
	parent := path.Dir(own)
	if unix.Faccessat(unix.AT_FDCWD, parent+"/cgroup.procs", unix.W_OK, unix.AT_EACCESS) != nil {
		return false, unix.EACCES
	}
	g.dir = parent + "/" + path.Base(g.dir)
	if m.cfg.Beside != nil {
		if err := m.cfg.Beside(g.dir); err != nil {
			return false, err
		}
	}
	return m.createGroup(g)
}

// createGroup makes the directory in one hierarchy and prepares it for processes.
func (m *manager) createGroup(g *group) (fresh bool, err error) {
	if fresh, err = g.mkdir(); err != nil {
		return fresh, err
	}
	if !fresh {
		list, err := g.pids(true)
		if err != nil {
			return fresh, err
		}
		if len(list) > 0 {
			return fresh, &NotEmptyError{Path: g.dir, Count: len(list)}
		}
	}
	switch {
	case g.has("cpuset"):
		err = g.inheritCpuset(fresh)
	case g.unified && fresh && len(m.groups) == 1:
		err = g.offerControllers()
	}
	return fresh, err
}

// nested tells whether the container's cgroups have a parent other than the mount point,
// which can't be frozen.
func (m *manager) nested() bool {
	for _, g := range m.groups {
		if path.Dir(g.dir) != g.mount {
			return true
		}
	}
	return false
}

// checkFrozen refuses a cgroup in which the container's first process would stop dead,
// whether it is frozen itself or below one that is.
func (m *manager) checkFrozen() error {
	state, err := m.State()
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err == nil && state != Thawed {
		err = ErrFrozen
	}
	return err
}

// inheritCpuset fills cpuset.cpus and cpuset.mems of the directory and of parents that
// have none: a version 1 cpuset starts empty and takes no process until it has both
// (cpuset(7); cgroup-v1/cpusets.rst, 2.1).
func (g *group) inheritCpuset(fresh bool) error {
	for _, file := range [...]string{"cpuset.cpus", "cpuset.mems"} {
		if !fresh {
			value, err := readCpuset(g.dir, file)
			if err != nil {
				return err
			}
			if value != "" {
				continue
			}
		}
		if _, err := inherit(g.dir, g.mount, file); err != nil {
			return err
		}
	}
	return nil
}

func readCpuset(dir, file string) (string, error) {
	value, err := readAt(unix.AT_FDCWD, dir+"/"+file)
	if err != nil {
		return "", &os.PathError{Op: "read", Path: dir + "/" + file, Err: err}
	}
	return strings.TrimSpace(value), nil
}

// inherit gives a directory without a value its parent's, and returns that.
func inherit(dir, mount, file string) (string, error) {
	parent := path.Dir(dir)
	value, err := readCpuset(parent, file)
	if err != nil {
		return "", err
	}
	if value == "" && parent != mount {
		if value, err = inherit(parent, mount, file); err != nil {
			return "", err
		}
	}
	if err := writeAt(unix.AT_FDCWD, dir+"/"+file, value); err != nil {
		return "", &WriteError{Path: dir + "/" + file, Value: value, Err: err}
	}
	return value, nil
}

// offerControllers enables what statistics and usual limits are made of, down to the
// container's parent: a container without limits is to be measurable, and limited later,
// all the same. It takes what it gets; what a limit needs is enforced by require.
func (g *group) offerControllers() error {
	own, err := g.read("cgroup.controllers")
	if err != nil || strings.Contains(own, "memory") {
		return err // whoever enabled memory chose the others too
	}
	available, err := readAt(unix.AT_FDCWD, g.mount+"/cgroup.controllers")
	if err != nil {
		return &os.PathError{Op: "read", Path: g.mount + "/cgroup.controllers", Err: err}
	}
	for name := range strings.FieldsSeq(available) {
		switch name {
		case "cpu", "cpuset", "io", "memory", "pids":
			_ = g.eachParent(func(dir string) error { return enable(dir, name) })
		}
	}
	return nil
}

// enable gives a controller to the children of a cgroup. A caller to whom only a part of
// the hierarchy is delegated can't write above it, and needs not where it is enabled.
//
// In a cgroup with processes of its own the kernel refuses that (EBUSY), but for threaded
// controllers: those make it the root of a threaded subtree, whose children take no
// processes of a container (cgroups(7), "Thread mode"; EOPNOTSUPP). That is never meant.
func enable(dir, controller string) error {
	file := dir + "/cgroup.subtree_control"
	err := error(unix.EBUSY)
	if !isThreaded(controller) || !crowded(dir) {
		err = writeAt(unix.AT_FDCWD, file, "+"+controller)
	}
	switch err {
	case unix.EACCES, unix.EPERM, unix.EROFS, unix.EBUSY:
		if list, e := readAt(unix.AT_FDCWD, file); e == nil && slices.Contains(strings.Fields(list), controller) {
			return nil
		}
	}
	return err
}

func isThreaded(controller string) bool {
	switch controller {
	case "cpu", "cpuset", "perf_event", "pids":
		return true
	}
	return false
}

// crowded tells whether a cgroup has processes, other than the root, which may.
func crowded(dir string) bool {
	if unix.Access(dir+"/cgroup.type", unix.F_OK) != nil {
		return false
	}
	procs, err := readAt(unix.AT_FDCWD, dir+"/cgroup.procs")
	return err == nil && procs != ""
}

// eachParent calls f for the mount point and every directory between it and the
// container's own, outermost first.
func (g *group) eachParent(f func(dir string) error) error {
	if err := f(g.mount); err != nil {
		return err
	}
	for i := len(g.mount) + 1; i < len(g.dir); i++ {
		if g.dir[i] == '/' {
			if err := f(g.dir[:i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *manager) Attach(pid int) error {
	for _, g := range m.groups {
		if err := g.write("cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process into its cgroup: %w", err)
		}
	}
	return nil
}

// undo removes what Create made, and only that.
func (m *manager) undo() {
	for _, g := range m.groups {
		g.undo()
	}
}

func (g *group) undo() {
	g.close()
	for i := len(g.made) - 1; i >= 0; i-- {
		_ = unix.Rmdir(g.made[i])
	}
	g.made = nil
}
