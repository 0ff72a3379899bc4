// Package intelrdt puts containers into classes of service of the resctrl
// filesystem, which share out caches and memory bandwidth (linux.intelRdt,
// config-linux.md).
//
// A class is a directory of the filesystem, made for one container, for all
// that name it, or by somebody else beforehand; the root directory is the
// default class. A monitoring group below it counts for one container.
package intelrdt

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Error is a class or monitoring group that can't be had.
type Error struct {
	Field  string // JSON path
	Reason string
	Hint   string // what to try, possibly empty
	Err    error  // the kernel's, or nil
}

func (e *Error) Error() string {
	s := e.Field + ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Group is where a container's processes are. It is what a container's state remembers.
type Group struct {
	ID        string // the container's
	Class     string // the class's directory, "." for the default class
	Owned     bool   // the class was made for this container alone and goes with it
	Monitored bool   // it has a monitoring group of its own
}

func (g *Group) monitor() string { return path.Join(g.Class, monGroups, g.ID) }

const (
	monGroups = "mon_groups"
	tasks     = "tasks"
	schemata  = "schemata"
	field     = "linux.intelRdt"
)

// GroupOf is the group that a configuration asks for, made or not.
func GroupOf(id string, cfg *specs.LinuxIntelRdt) *Group {
	g := &Group{ID: id, Class: cfg.ClosID, Monitored: cfg.EnableMonitoring}
	switch cfg.ClosID {
	case "":
		g.Class, g.Owned = id, true
	case "/":
		g.Class = "."
	}
	return g
}

// Make makes what the configuration asks for: the class, its share, and the
// monitoring group. After an error nothing of it is left. What undo removes is
// what Make made; it is for a creation that fails later.
func Make(t Tree, id string, cfg *specs.LinuxIntelRdt) (g *Group, undo func() error, err error) {
	g = GroupOf(id, cfg)
	if g.Class != "." && (path.Base(g.Class) != g.Class || g.Class == "..") {
		return nil, nil, &Error{Field: field + ".closID", Reason: fmt.Sprintf("%q is not one directory's name", cfg.ClosID)}
	}
	made, err := makeClass(t, g, cfg)
	undo = func() error {
		if made {
			return removeClass(t, g)
		}
		return nil
	}
	if err == nil && g.Monitored {
		if err = makeMonitor(t, g); err == nil {
			class := undo
			undo = func() error { return errors.Join(rmdir(t, g.monitor()), class()) }
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, undo())
	}
	return g, undo, nil
}

// makeClass follows the table of config-linux.md, IntelRdt: a class that exists
// is shared if it is as the configuration wants it, and never changed.
func makeClass(t Tree, g *Group, cfg *specs.LinuxIntelRdt) (made bool, err error) {
	shares := wanted(cfg)
	exists := g.Class == "." || t.Exists(g.Class)
	switch {
	case exists && g.Owned:
		return false, &Error{Field: field, Reason: fmt.Sprintf("there is a class %q already, which should be made for this container", g.Class),
			Hint: "share it by closID, or remove what another runtime left"}
	case exists:
		return false, compare(t, g, shares)
	case !g.Owned && len(shares) == 0:
		return false, &Error{Field: field + ".closID", Reason: fmt.Sprintf("there is no class %q, and no schemata to make it with", g.Class),
			Hint: "make it beforehand, or give l3CacheSchema, memBwSchema or schemata"}
	}
	if err := t.Mkdir(g.Class); err != nil {
		return false, &Error{Field: field, Reason: fmt.Sprintf("make the class %q", g.Class), Err: err, Hint: fullHint(err, "classes")}
	}
	for _, s := range shares {
		if err := t.Write(path.Join(g.Class, schemata), s.text()); err != nil {
			return true, &Error{Field: s.field, Reason: fmt.Sprintf("set the share of class %q", g.Class), Err: err, Hint: lastStatus(t)}
		}
	}
	return true, nil
}

func makeMonitor(t Tree, g *Group) error {
	const at = field + ".enableMonitoring"
	if !t.Exists(path.Join(g.Class, monGroups)) {
		return &Error{Field: at, Reason: "monitoring is not supported by this processor or kernel", Hint: "leave it out"}
	}
	if err := t.Mkdir(g.monitor()); err != nil {
		return &Error{Field: at, Reason: "make a monitoring group", Err: err, Hint: fullHint(err, "monitoring groups")}
	}
	return nil
}

func fullHint(err error, what string) string {
	if errors.Is(err, unix.ENOSPC) {
		return "the processor has no more " + what
	}
	return ""
}

// lastStatus is why the kernel refused the last request, in its words.
func lastStatus(t Tree) string {
	s, err := t.Read("info/last_cmd_status")
	if s = strings.TrimSpace(s); err != nil || s == "ok" {
		return ""
	}
	return s
}

// Add moves a process into the group. Its children will be there, too; other threads of it are not moved.
func (g *Group) Add(t Tree, pid int) error {
	// Into a monitoring group only what is in its class can go.
	dirs := []string{g.Class, g.monitor()}
	if !g.Monitored {
		dirs = dirs[:1]
	}
	for _, dir := range dirs {
		if err := t.Write(path.Join(dir, tasks), strconv.Itoa(pid)); err != nil {
			return &Error{Field: field, Reason: "move the container's process into its class", Err: err, Hint: lastStatus(t)}
		}
	}
	return nil
}

// Remove removes what goes with the container. What isn't there any more is no error.
func (g *Group) Remove(t Tree) error {
	var errs []error
	if g.Monitored {
		errs = append(errs, rmdir(t, g.monitor()))
	}
	if g.Owned {
		errs = append(errs, rmdir(t, g.Class))
	}
	return errors.Join(errs...)
}

// RemoveUnused is Remove for a container whose creation wasn't recorded: it
// spares what has processes in it, and so may be somebody else's.
func (g *Group) RemoveUnused(t Tree) error {
	var errs []error
	if g.Monitored && empty(t, g.monitor()) {
		errs = append(errs, rmdir(t, g.monitor()))
	}
	if g.Owned {
		errs = append(errs, removeClass(t, g))
	}
	return errors.Join(errs...)
}

// removeClass removes a class that nobody is in: another container may have joined it by its closID.
func removeClass(t Tree, g *Group) error {
	if !empty(t, g.Class) {
		return nil
	}
	return rmdir(t, g.Class)
}

func empty(t Tree, dir string) bool {
	list, err := t.Read(path.Join(dir, tasks))
	return err == nil && strings.TrimSpace(list) == ""
}

func rmdir(t Tree, dir string) error {
	if err := t.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &Error{Field: field, Reason: "remove what was made for the container", Err: err}
	}
	return nil
}
