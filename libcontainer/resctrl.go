package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups"
	"davit/libcontainer/intelrdt"
)

// errNoResctrl is a host without what linux.intelRdt needs.
var errNoResctrl = errors.New("linux.intelRdt: no resctrl filesystem is mounted: the processor or the kernel has no Resource Director Technology, or `mount -t resctrl resctrl /sys/fs/resctrl` is missing")

// resctrl finds the filesystem of a configuration's, or a container's, classes.
func (rt *Runtime) resctrl() (intelrdt.Tree, error) {
	if rt.opts.Resctrl != nil {
		return rt.opts.Resctrl, nil
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("linux.intelRdt: %w", err)
	}
	for line := range strings.Lines(string(table)) {
		// proc_pid_mountinfo(5): the root and the mount point, and behind a dash the type. A bind mount of a part doesn't do.
		left, right, _ := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if len(f) >= 5 && f[3] == "/" && strings.HasPrefix(right, "resctrl ") {
			return intelrdt.At(unescape(f[4])), nil
		}
	}
	return nil, errNoResctrl
}

// joinResctrl makes and joins the class that the configuration asks for.
func (b *boot) joinResctrl() error {
	if b.spec.Linux == nil || b.spec.Linux.IntelRdt == nil {
		return nil
	}
	tree, err := b.rt.resctrl()
	if err != nil {
		return err
	}
	group, undo, err := intelrdt.Make(tree, b.id, b.spec.Linux.IntelRdt)
	if err != nil {
		return err
	}
	b.rdt, b.undoRdt = group, undo
	return group.Add(tree, b.pid)
}

// leaveResctrl removes what joinResctrl made.
func (b *boot) leaveResctrl() {
	if b.undoRdt == nil {
		return
	}
	if err := b.undoRdt(); err != nil {
		b.rt.log.Warn("clean up: " + err.Error())
	}
	b.undoRdt = nil
}

// rdtGroup is the recorded group of a container, nil if it has none.
func (c *container) rdtGroup() *intelrdt.Group {
	r := c.record
	if r.IntelRdtClass == "" {
		return nil
	}
	return &intelrdt.Group{ID: r.ID, Class: r.IntelRdtClass, Owned: r.IntelRdtOwned, Monitored: r.IntelRdtMonitored}
}

// joinResctrl moves a process that joins a container into its class: a child of davit's is in davit's.
func (e *join) joinResctrl() error {
	g := e.container.rdtGroup()
	if g == nil {
		return nil
	}
	tree, err := e.rt.resctrl()
	if err != nil {
		return err
	}
	return g.Add(tree, e.pid)
}

// removeRdt removes what goes with a container. Where resctrl is no longer mounted nothing of it is left.
func (c *container) removeRdt() error {
	g := c.rdtGroup()
	if g == nil || !g.Owned && !g.Monitored {
		return nil
	}
	tree, err := c.rt.resctrl()
	if errors.Is(err, errNoResctrl) {
		return nil
	}
	if err != nil {
		return err
	}
	return g.Remove(tree)
}

// removeUnrecordedRdt removes what a davit that died may have made for a container before it was recorded.
func (rt *Runtime) removeUnrecordedRdt(id string, spec *specs.Spec) error {
	if spec.Linux == nil || spec.Linux.IntelRdt == nil {
		return nil
	}
	tree, err := rt.resctrl()
	if errors.Is(err, errNoResctrl) {
		return nil
	}
	if err != nil {
		return err
	}
	return intelrdt.GroupOf(id, spec.Linux.IntelRdt).RemoveUnused(tree)
}

// updateRdt changes the share of the container's class.
func (c *container) updateRdt(cfg *specs.LinuxIntelRdt) (undo func() error, err error) {
	if cfg == nil {
		return func() error { return nil }, nil
	}
	g := c.rdtGroup()
	if g == nil {
		return nil, errors.New("linux.intelRdt: the container was created without it, so it is in no class of its own")
	}
	tree, err := c.rt.resctrl()
	if err != nil {
		return nil, err
	}
	return g.Update(tree, cfg)
}

// addRdtStats completes statistics by what resctrl counts.
func (c *container) addRdtStats(stats *cgroups.Stats) {
	g := c.rdtGroup()
	if g == nil || stats == nil {
		return
	}
	if tree, err := c.rt.resctrl(); err == nil {
		stats.IntelRdt = g.Stats(tree)
	}
}
