package cgroups

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// limit sets the container's resources in its new cgroups. fresh is set if all of them
// were made by this Create, and so have the kernel's defaults.
func (m *manager) limit(fresh bool) error {
	res := m.cfg.Resources
	if res == nil {
		return nil
	}
	if m.cfg.Rootless && len(m.groups) == 0 {
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

// previous is a file's value from before an update.
type previous struct {
	write Write
	value string
}

func (m *manager) Set(res *specs.LinuxResources) error {
	return m.set(res, nil)
}

// set changes limits. Where systemd keeps them too it is told first, by announce, what changes,
// and all lines of a version 1 devices cgroup if one does. announce may be nil.
func (m *manager) set(res *specs.LinuxResources, announce func(changes, devices []Write) error) error {
	if res == nil {
		return nil
	}
	res, err := m.complete(res)
	if err != nil {
		return err
	}
	writes, warnings, err := Batch(res, m.layout(), m.cfg.OCIVersion)
	if err != nil {
		return err
	}
	m.warn(warnings)
	if err := m.checkUsage(res); err != nil {
		return err
	}
	lines := deviceLines(writes)
	writes, devices, err := m.planDevices(writes, res.Devices)
	if err != nil {
		return err
	}
	if len(devices.change.Lines) == 0 {
		lines = nil
	}
	changes, old := m.differences(writes)
	left := changes
	if announce != nil {
		if err := announce(changes, lines); err != nil {
			return err
		}
		left, _ = m.differences(changes)
	}
	_, err = m.apply(left)
	if err == nil {
		err = devices.apply()
	}
	if err == nil {
		err = m.attachDevices(res.Devices, false)
	}
	if err != nil {
		if announce != nil {
			_ = announce(before(old), nil)
		}
		m.restore(changes, old)
	}
	return err
}

// before is the batch that takes changes back.
func before(old []previous) []Write {
	var writes []Write
	for _, p := range old {
		w := p.write
		w.Value, w.Else = p.value, nil
		writes = append(writes, w)
	}
	return writes
}

// differences leaves out what is set already, and returns the old values of the rest as
// far as they can be read and written back.
func (m *manager) differences(writes []Write) (changes []Write, old []previous) {
	for _, w := range writes {
		g := m.groupOf(w)
		if g == nil {
			changes = append(changes, w)
			continue
		}
		now, err := g.read(w.File)
		if err != nil {
			changes = append(changes, w)
			continue
		}
		value, whole := current(w, now)
		if value == w.Value {
			continue
		}
		changes = append(changes, w)
		if whole {
			old = append(old, previous{w, value})
		}
	}
	return changes, old
}

// current takes out of a file's content what compares with w.Value, and tells whether
// writing that back restores the file.
func current(w Write, content string) (value string, whole bool) {
	value = strings.TrimSpace(content)
	switch w.File {
	case "memory.oom_control":
		return eventValue(content, "oom_kill_disable"), true
	case "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes":
		if n, err := parseUint(value); err == nil && n >= unlimitedV1 {
			value = "-1"
		}
		return value, true
	case "cpu.max":
		// "quota period"; the write may name the quota alone
		if quota, _, ok := strings.Cut(value, " "); ok && !strings.Contains(w.Value, " ") {
			value = quota
		}
		return value, true
	}
	return value, !strings.ContainsAny(value, "\n ")
}

// unlimitedV1 is what version 1 shows for no limit, PAGE_COUNTER_MAX pages in bytes, or
// more: the largest signed number rounded down to a page of at most 64 KiB.
const unlimitedV1 = 1<<63 - 1<<16

// restore puts back the values from before changes that were made, the last one first.
func (m *manager) restore(done []Write, old []previous) {
	var f file
	defer f.close()
	for _, w := range slices.Backward(done) {
		for _, p := range old {
			if p.write == w {
				w.Value = p.value
				_ = m.write(&f, w)
			}
		}
	}
}

// complete fills in the live values that a partial update is relative to: on cgroup v2 a
// memory+swap sum needs the limit, and a period alone stands beside the quota.
func (m *manager) complete(res *specs.LinuxResources) (*specs.LinuxResources, error) {
	g := m.unified()
	if g == nil {
		return res, nil
	}
	full := *res
	if r := res.Memory; r != nil && m.v1("memory") == nil && deref(r.Swap) > 0 && deref(r.Limit) == 0 {
		now, err := g.readUint("memory.max")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err == nil && now < unlimitedV1 {
			memory, limit := *r, int64(now)
			memory.Limit = &limit
			full.Memory = &memory
		}
	}
	if r := res.CPU; r != nil && m.v1("cpu") == nil && deref(r.Period) != 0 && deref(r.Quota) == 0 {
		now, err := g.read("cpu.max")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		var quota int64
		if _, err := fmt.Sscan(now, &quota); err == nil {
			cpu := *r
			cpu.Quota = &quota
			full.CPU = &cpu
		}
	}
	return &full, nil
}

// checkUsage is memory.checkBeforeUpdate: version 2 would kill to get below a new limit,
// where version 1 refuses one that it can't reclaim down to.
func (m *manager) checkUsage(res *specs.LinuxResources) error {
	r, g := res.Memory, m.unified()
	if r == nil || !deref(r.CheckBeforeUpdate) || deref(r.Limit) <= 0 || g == nil || m.v1("memory") != nil {
		return nil
	}
	usage, err := g.readUint("memory.current")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // no memory controller: setting the limit says so
		}
		return err
	}
	if uint64(*r.Limit) < usage {
		return &ResourceError{Field: fieldRoot + "memory.limit", Reason: fmt.Sprintf("%d is less than the %d bytes in use, and memory.checkBeforeUpdate is set", *r.Limit, usage)}
	}
	return nil
}
