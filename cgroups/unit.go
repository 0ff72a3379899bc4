package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups/systemd"
)

// unitManager has systemd make the container's cgroup, as that of a unit. systemd makes it in
// the hierarchies that it uses, and keeps those limits in force that it was told; the rest, and
// everything that is done to a cgroup which is there, is the embedded manager's.
//
// Nothing is ever frozen while systemd is waited for: it might have to wait for the container.
type unitManager struct {
	*manager
	client  *systemd.Client
	unit    systemd.Unit
	host    *Layout // nil for a container that was opened
	dir     string  // the unit's directory
	created bool    // by this manager, but see started
	started bool    // systemd has made the unit
}

func newUnit(layout *Layout, cfg *Config) (Manager, error) {
	m := &unitManager{client: cfg.Systemd, host: layout}
	if err := m.place(layout, cfg); err != nil {
		cfg.Systemd.Close()
		return nil, err
	}
	return m, nil
}

func (m *unitManager) place(layout *Layout, cfg *Config) (err error) {
	switch {
	case layout.Mode == None:
		return errors.New("--systemd-cgroup: no cgroup filesystem is mounted")
	case cfg.Systemd.User() && layout.Mode != V2:
		return errors.New("--systemd-cgroup: a user's systemd manager makes cgroups of version 2 only, and version 1 is mounted; leave the option out, or boot with systemd.unified_cgroup_hierarchy=1")
	}
	if m.unit, err = systemd.ParsePath(cfg.Path, cfg.ID, cfg.Systemd.User()); err != nil {
		return err
	}
	above, err := cfg.Systemd.ControlGroup()
	if err != nil {
		return err
	}
	m.manager = layOut(layout, cfg, above+m.unit.ControlGroup())
	m.dir = unitDir(m.Paths())
	if m.dir == "" {
		return errors.New("--systemd-cgroup: none of the mounted hierarchies is systemd's (the unified one, or name=systemd)")
	}
	return nil
}

func openUnit(files *manager) (Manager, error) {
	m := &unitManager{manager: files, client: files.cfg.Systemd, started: true, dir: unitDir(files.cfg.UnitPaths)}
	if m.dir == "" {
		m.dir = unitDir(m.Paths())
	}
	m.unit.Name = systemd.UnitOf(m.dir)
	return m, nil
}

// unitDir is a container's directory in the hierarchy in which systemd keeps its units.
func unitDir(paths map[string]string) string {
	if dir, ok := paths["name=systemd"]; ok {
		return dir
	}
	return paths[""]
}

// pending tells a unit that this manager is to make and hasn't: of its name there may be
// another container's.
func (m *unitManager) pending() bool { return m.created && !m.started }

func (m *unitManager) Create() error {
	m.created = true
	return nil
}

// Dir: the kernel lets nobody clone into a cgroup of another user's part of the hierarchy, and
// a user's processes may well be outside of their manager's.
func (m *unitManager) Dir() (int, bool) {
	if m.pending() || m.client.User() {
		return -1, false
	}
	return m.manager.Dir()
}

func (m *unitManager) Attach(pid int) error {
	if m.pending() {
		return m.start(pid)
	}
	err := m.manager.Attach(pid)
	if err == nil || !isPermission(err) {
		return err
	}
	dir := unitDir(m.Paths())
	sub, ok := strings.CutPrefix(dir, m.dir)
	if !ok || sub != "" && sub[0] != '/' {
		return err
	}
	if sub == "" {
		sub = "/"
	}
	return m.client.Attach(m.unit.Name, sub, pid)
}

// start makes the unit with the process in it, and does in files what systemd doesn't.
func (m *unitManager) start(pid int) error {
	writes, err := m.batch()
	if err != nil {
		return err
	}
	properties, err := m.properties(pid, writes)
	if err != nil {
		return err
	}
	err = m.client.StartTransient(m.unit.Name, properties)
	// Where systemd didn't say, the unit of that name may be another's. If it is ours after all,
	// it ends with its only process, which doesn't survive the error.
	var job *systemd.JobError
	m.started = err == nil || errors.As(err, &job)
	if err != nil {
		return err
	}
	if !m.unit.IsSlice() {
		if err := m.checkPlace(pid); err != nil {
			return err
		}
	}
	return m.fill(pid, writes)
}

// checkPlace makes sure that the cgroup which all else is about is the one that systemd made.
func (m *unitManager) checkPlace(pid int) error {
	paths, err := PathsOf(m.host, pid)
	if err != nil {
		return err
	}
	if dir := unitDir(paths); dir != m.dir {
		return fmt.Errorf("systemd has put the process of %s into the cgroup %q, not %q", m.unit.Name, dir, m.dir)
	}
	return nil
}

// fill makes the cgroups in those hierarchies that systemd leaves out, sets the limits that it
// doesn't, and has the process join.
func (m *unitManager) fill(pid int, writes []Write) error {
	for _, g := range m.groups {
		fresh, err := g.mkdir()
		if err != nil {
			return err
		}
		if !fresh {
			if err := g.expectOnly(pid); err != nil {
				return err
			}
		}
		if g.has("cpuset") {
			if err := g.inheritCpuset(fresh); err != nil {
				return err
			}
		}
	}
	if err := m.checkFrozen(); err != nil {
		return err
	}
	// What is a new cgroup's default otherwise may be systemd's here.
	changes, _ := m.differences(writes)
	if _, err := m.apply(changes); err != nil {
		return err
	}
	if r := m.cfg.Resources; r != nil {
		if err := m.attachDevices(r.Devices, true); err != nil {
			return err
		}
	}
	if len(m.groups) > 1 || m.unit.IsSlice() {
		if err := m.manager.Attach(pid); err != nil {
			return err
		}
	}
	return m.delegate()
}

// expectOnly refuses a cgroup that has other processes than the container's first.
func (g *group) expectOnly(pid int) error {
	list, err := g.pids(true)
	if err != nil {
		return err
	}
	others := 0
	for _, p := range list {
		if p != pid {
			others++
		}
	}
	if others > 0 {
		return &NotEmptyError{Path: g.dir, Count: others}
	}
	return nil
}

func (m *unitManager) Set(res *specs.LinuxResources) error {
	return m.set(res, m.announce)
}

// announce tells systemd of changes, as far as it keeps what changes.
func (m *unitManager) announce(changes, devices []Write) error {
	if len(changes) == 0 && len(devices) == 0 {
		return nil
	}
	properties, err := m.derived(changes, m.bandwidth())
	if err == nil && len(devices) > 0 {
		var more []systemd.Property
		more, err = deviceProperties(devices)
		properties = append(properties, more...)
	}
	if err != nil || len(properties) == 0 {
		return err
	}
	return m.client.SetProperties(m.unit.Name, properties)
}

func (m *unitManager) Kill(sig unix.Signal) error {
	if m.pending() {
		return nil
	}
	return m.manager.Kill(sig)
}

// Destroy waits for the processes' end before it has the unit stopped: systemd would wait for
// much longer. A unit whose cgroup is gone has ended by itself, which needs no word from us.
func (m *unitManager) Destroy() error {
	if m.pending() {
		return nil
	}
	if err := m.awaitEmpty(); err != nil {
		return err
	}
	var stop error
	if unix.Access(m.dir, unix.F_OK) == nil {
		stop = m.client.Stop(m.unit.Name, m.dir)
	}
	if err := m.manager.Destroy(); err != nil {
		return errors.Join(stop, err)
	}
	m.removeSlices()
	if stop != nil { // its cgroup is gone, and so will it be
		m.warn([]Warning{{Field: "linux.cgroupsPath", Text: stop.Error()}})
	}
	return nil
}

// removeSlices removes the slices' directories from those hierarchies in which systemd makes
// none, once they are empty.
func (m *unitManager) removeSlices() {
	for _, g := range m.groups {
		if g.unified || slices.ContainsFunc(g.controllers, isSystemds) {
			continue
		}
		for dir := path.Dir(g.dir); strings.HasSuffix(dir, ".slice") && unix.Rmdir(dir) == nil; {
			dir = path.Dir(dir)
		}
	}
}

// isSystemds tells a version 1 hierarchy in which systemd makes its units' cgroups.
func isSystemds(controller string) bool {
	switch controller {
	case "name=systemd", "cpu", "cpuacct", "blkio", "memory", "devices", "pids":
		return true
	}
	return false
}

// awaitEmpty returns when no process is in the cgroups any more.
func (m *unitManager) awaitEmpty() error {
	deadline := time.Now().Add(destroyWait)
	for _, g := range m.groups {
		for pause := firstPause; ; pause = min(2*pause, longPause) {
			list, err := g.pids(true)
			g.close()
			if errors.Is(err, ErrNotExist) || errors.Is(err, os.ErrNotExist) || err == nil && len(list) == 0 {
				break
			}
			if err != nil {
				return err
			}
			if time.Now().After(deadline) {
				return &BusyError{Path: g.dir, Pids: list, Err: unix.EBUSY}
			}
			time.Sleep(pause)
		}
	}
	return nil
}

func (m *unitManager) Close() error {
	m.client.Close()
	return m.manager.Close()
}
