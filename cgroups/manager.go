package cgroups

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// manager works on the cgroup filesystems directly. It serves every [Mode]: a container
// has one group in each version 1 hierarchy and one in the unified hierarchy, or none.
type manager struct {
	cfg     Config
	groups  []*group // version 1 first
	parents int      // of each directory, how many parents are davit's own
}

var _ Manager = (*manager)(nil)

func (m *manager) byDir(dir string) *group {
	for _, g := range m.groups {
		if g.dir == dir {
			return g
		}
	}
	return nil
}

func (m *manager) unified() *group {
	if n := len(m.groups); n > 0 && m.groups[n-1].unified {
		return m.groups[n-1]
	}
	return nil
}

// v1 returns the group that has a version 1 controller, or nil.
func (m *manager) v1(controller string) *group {
	for _, g := range m.groups {
		if g.has(controller) {
			return g
		}
	}
	return nil
}

// layout describes the groups that the container really has.
func (m *manager) layout() *Layout {
	l := &Layout{}
	for _, g := range m.groups {
		if g.unified {
			l.Unified = g.dir
			continue
		}
		l.V1 = append(l.V1, Hierarchy{Mountpoint: g.dir, Controllers: g.controllers})
	}
	l.Mode = modeOf(len(l.V1) > 0, l.Unified != "")
	return l
}

// main returns the group whose processes stand for the container's. A payload such as
// systemd may move its processes about in the hierarchies it is given, the unified one
// and name=systemd; the freezer and devices hierarchies are the ones left alone.
func (m *manager) main() (*group, error) {
	for _, c := range [...]string{"freezer", "devices", "memory"} {
		if g := m.v1(c); g != nil {
			return g, nil
		}
	}
	if g := m.unified(); g != nil {
		return g, nil
	}
	if len(m.groups) > 0 {
		return m.groups[0], nil
	}
	return nil, ErrNotExist
}

func (m *manager) warn(warnings []Warning) {
	if m.cfg.Warn == nil {
		return
	}
	for _, w := range warnings {
		m.cfg.Warn(w)
	}
}

func (m *manager) Dir() (int, bool) {
	g := m.unified()
	if g == nil || len(m.groups) != 1 || g.open() != nil {
		return -1, false
	}
	return g.fd, true
}

func (m *manager) Paths() map[string]string {
	paths := make(map[string]string, len(m.groups)+1)
	for _, g := range m.groups {
		if g.unified {
			paths[""] = g.dir
		}
		for _, c := range g.controllers {
			paths[c] = g.dir
		}
	}
	return paths
}

func (m *manager) Pids(all bool) ([]int, error) {
	g, err := m.main()
	if err != nil {
		return nil, err
	}
	return g.pids(all)
}

func (g *group) pids(all bool) ([]int, error) {
	if err := g.open(); err != nil {
		return nil, err
	}
	if !all {
		return pids(g.fd, nil)
	}
	var list []int
	err := walk(g.fd, g.dir, func(fd int, _ string) (err error) {
		list, err = pids(fd, list)
		return err
	})
	slices.Sort(list)
	return slices.Compact(list), err
}

func (m *manager) Close() error {
	for _, g := range m.groups {
		g.close()
	}
	return nil
}

// isPermission tells an error that a rootless caller meets on cgroups it doesn't own.
func isPermission(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}
