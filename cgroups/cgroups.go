// Package cgroups puts a container into control groups and works on it there: creation,
// limits, joining, freezing, killing, statistics, removal.
//
// One [Manager] stands for one container's cgroups, whatever the host mounts: pure cgroup
// v2, pure v1, both side by side ("hybrid": v1 controllers and the unified hierarchy), or
// nothing at all. [Detect] finds out which; [New] lays the container's paths onto it.
//
// # Where a container's cgroup is
//
// linux.cgroupsPath decides, and the same value gives the same place in every hierarchy,
// whichever cgroup the caller itself is in (runtime-spec, config-linux.md, "Cgroups Path"):
//
//	absolute  /a/b     <mount point>/a/b
//	relative  a/b      <mount point>/davit/a/b
//	empty              <mount point>/davit-<id>
//
// A caller who may not write there, such as an ordinary user, has the container of the third
// line beside himself on pure v2, <parent of his own cgroup>/davit-<id>, if that is delegated
// to him. ([Config].Rootless; it is the one case where the place depends on the caller.)
//
// The place is relative to the mount points, so in a container with a cgroup namespace
// and its own cgroup mount it lies below that container's cgroup. A path with a ".."
// component, and one that names a mount point itself, are errors.
//
// A cgroup belongs to the container that was created in it: [Manager.Destroy] removes it
// with everything below. Its parents are left alone, as an engine may have made them and
// set limits there; only the parents that the table's second line adds are removed with
// the last container below them.
//
// With Config.Systemd it is systemd that makes the cgroup, as that of a unit: the path is then
// slice:prefix:name, and the place follows from the slice. What limits systemd knows it is
// told, so that it doesn't undo them; the files say the rest.
package cgroups

import (
	"context"
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups/systemd"
)

// Config is what a container asks of its cgroups.
type Config struct {
	// ID names the container. It decides the path where Path is empty.
	ID string
	// Path is linux.cgroupsPath.
	Path string
	// Resources is linux.resources; nil sets no limit.
	Resources *specs.LinuxResources
	// OCIVersion is the config's ociVersion: before 1.3 a pids.limit of 0 is no limit.
	OCIVersion string
	// Rootless lets a container do without those cgroups that the caller has no
	// permission to create, unless Path or Resources ask for them.
	Rootless bool
	// Disabled is for a container that is to have no cgroup, and stays in its caller's: Path
	// is ignored, and limits are errors.
	Disabled bool
	// Beside is told of a cgroup that is about to be made where Path and ID don't say: a
	// container that is Rootless and has no Path goes beside its caller in the unified
	// hierarchy, where that is delegated to him. An error of it is Create's. May be nil.
	Beside func(dir string) error
	// Owner is the host uid that a v2 cgroup is delegated to; nil keeps the caller's.
	// [Owner] derives it from a config. Version 1 cgroups are never delegated.
	Owner *uint32
	// Systemd is the manager that the container is to be a unit of; nil has the cgroups
	// made directly. [Manager.Close] closes it.
	Systemd *systemd.Client
	// Annotations are the config's, of which those about systemd are taken.
	Annotations map[string]string
	// UnitPaths are the recorded paths of the container whose unit it is, where those given
	// to [Open] may be below them.
	UnitPaths map[string]string
	// Warn is told what was ignored, with the config field it came from. May be nil.
	Warn func(Warning)
}

// Manager is a container's place in the cgroup hierarchies. Its methods are not safe for
// concurrent use, other than OOM's channel.
//
// Methods that need a cgroup return an error matching [ErrNotExist] where the container
// has none.
type Manager interface {
	// Create makes the cgroups and sets every limit, so that a process that joins is
	// bound from its first instruction. It refuses a cgroup that has processes
	// ([NotEmptyError]) or is frozen ([ErrFrozen]). On error what it made is removed.
	//
	// systemd has no scope without a process: there all this is done by the first Attach,
	// and until then there is nothing that Kill and Destroy would reach.
	Create() error
	// Dir returns a directory descriptor for clone3's CLONE_INTO_CGROUP, owned by the
	// Manager. ok is false where that alone doesn't join all of the container's cgroups.
	Dir() (fd int, ok bool)
	// Attach moves a process, with all its threads, into the container's cgroups.
	Attach(pid int) error
	// Set changes limits of a container that may be running. Only files whose value
	// differs are written; on error those already written get their old value back.
	Set(*specs.LinuxResources) error
	// Freeze stops every process and returns when all have stopped; when they can't
	// be stopped in time it thaws them and returns an error.
	Freeze() error
	// Thaw lets the processes run again.
	Thaw() error
	// Release lets processes that were killed die, which a version 1 freezer keeps from
	// it: it thaws the container's, and those below that the payload froze itself.
	Release() error
	// State tells whether the container is frozen, be it by an ancestor.
	State() (FreezerState, error)
	// Pids lists the processes in the container's cgroup, and those in cgroups below
	// if all is set, as the caller's PID namespace numbers them.
	Pids(all bool) ([]int, error)
	// Kill sends a signal to every process in the cgroup and below. None escapes by
	// forking. It doesn't wait for the processes to end.
	Kill(sig unix.Signal) error
	// Stats reads what the controllers count.
	Stats() (*Stats, error)
	// OOM sends a value for each out-of-memory kill. The channel is closed when the
	// cgroup is gone or has no processes left, or when ctx is done.
	OOM(ctx context.Context) (<-chan struct{}, error)
	// Destroy removes the cgroups with all cgroups below them, whether or not Create
	// came to its end. Processes that are ending are waited for, for a bounded time;
	// those that stay are named by a [BusyError].
	Destroy() error
	// Paths maps each controller (and "name=…" hierarchy) to the container's directory,
	// "" to that in the unified hierarchy. [Open] takes it back.
	Paths() map[string]string
	// Close releases descriptors; the cgroups stay.
	Close() error
}

// FreezerState tells whether a cgroup's processes are stopped.
type FreezerState int

// States of [Manager.State].
const (
	Thawed FreezerState = iota
	Freezing
	Frozen
)

// New returns the manager of the container that cfg describes. It does no I/O, other than to
// ask systemd where its units are: whether the container exists doesn't matter, so
// New(same arguments).Destroy() cleans up after a create that died at any point.
func New(layout *Layout, cfg *Config) (Manager, error) {
	if cfg.Disabled {
		return &manager{cfg: *cfg}, nil
	}
	if cfg.Systemd != nil {
		return newUnit(layout, cfg)
	}
	rel, err := cgroupPath(cfg.Path, cfg.ID)
	if err != nil {
		return nil, err
	}
	m := layOut(layout, cfg, rel)
	m.parents = ownParents(cfg.Path)
	return m, nil
}

// layOut lays a path onto the mount points.
func layOut(layout *Layout, cfg *Config, rel string) *manager {
	m := &manager{cfg: *cfg}
	for _, h := range layout.V1 {
		m.groups = append(m.groups, &group{mount: h.Mountpoint, dir: h.Mountpoint + rel, controllers: h.keys(), fd: -1})
	}
	if layout.Unified != "" {
		m.groups = append(m.groups, &group{mount: layout.Unified, dir: layout.Unified + rel, unified: true, fd: -1})
	}
	return m
}

// Open returns the manager of an existing container from what [Manager.Paths] returned.
// Of cfg only Path, OCIVersion, Systemd, UnitPaths and Warn are used. It does no I/O.
func Open(paths map[string]string, cfg *Config) (Manager, error) {
	m := &manager{cfg: *cfg, parents: ownParents(cfg.Path)}
	for _, key := range sortedKeys(paths) {
		dir := paths[key]
		if err := checkRecorded(key, dir); err != nil {
			return nil, err
		}
		if key == "" {
			continue
		}
		if g := m.byDir(dir); g != nil {
			g.controllers = append(g.controllers, key)
			continue
		}
		m.groups = append(m.groups, &group{dir: dir, controllers: []string{key}, fd: -1})
	}
	if dir, ok := paths[""]; ok {
		m.groups = append(m.groups, &group{dir: dir, unified: true, fd: -1})
	}
	if cfg.Systemd != nil {
		return openUnit(m)
	}
	return m, nil
}

// Errors that callers match with errors.Is.
var (
	// ErrNotExist is returned for a container that has no cgroup.
	ErrNotExist = errors.New("cgroup not exist")
	// ErrFrozen is returned by Create for a cgroup in which a process could never run.
	ErrFrozen = errors.New("container's cgroup unexpectedly frozen")
)
