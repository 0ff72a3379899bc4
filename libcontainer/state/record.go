package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unicode/utf8"

	"davit/libcontainer/process"
	"davit/libcontainer/specjson/jsontext"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// FormatVersion is the version of state.json that this davit writes, and the
// newest it reads. A field that older versions can do without does not change
// it.
const FormatVersion = 1

// StatePaused is the status of a container whose cgroup is frozen. The
// specification leaves it to runtimes to add such a value (runtime.md, "State").
const StatePaused specs.ContainerState = "paused"

// Record is what is known of a container beside its configuration. What can be
// derived is not in it: namespaces follow from the pid, capabilities and
// seccomp from the copy of config.json.
type Record struct {
	// FormatVersion is set by Save.
	FormatVersion int `json:"formatVersion"`

	OCIVersion string `json:"ociVersion"`
	ID         string `json:"id"`
	// Bundle and Rootfs are absolute paths.
	Bundle string `json:"bundle"`
	Rootfs string `json:"rootfs"`
	// Init is the container's first process; zero before it was started.
	Init        process.ID        `json:"init"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// CgroupPaths has the absolute path, in the runtime's mount namespace, of the
	// container's directory in each cgroup hierarchy: by controller on v1, under
	// "" on v2.
	CgroupPaths map[string]string `json:"cgroupPaths,omitempty"`
	// SystemdCgroup: the cgroups are a systemd unit's.
	SystemdCgroup bool `json:"systemdCgroup,omitempty"`
	// IntelRdtClass is the resctrl class that the container's processes are in:
	// a directory's name, "." for the default class, empty for a container that
	// resctrl has nothing to do with.
	IntelRdtClass string `json:"intelRdtClass,omitempty"`
	// IntelRdtOwned: the class was made for the container and goes with it.
	IntelRdtOwned bool `json:"intelRdtOwned,omitempty"`
	// IntelRdtMonitored: the container has a monitoring group in its class.
	IntelRdtMonitored bool `json:"intelRdtMonitored,omitempty"`
	// Rootless: errors of missing cgroup permissions are not fatal.
	Rootless bool `json:"rootless,omitempty"`

	// SharedPID: the container has no PID namespace of its own, so its processes
	// don't end with the first one.
	SharedPID bool `json:"sharedPID,omitempty"`
	// NoProcess: the configuration has no process, so there is nothing to start.
	NoProcess bool `json:"noProcess,omitempty"`
	// StartHooks: the configuration has startContainer or poststart hooks; for
	// others, start needn't read it.
	StartHooks bool `json:"startHooks,omitempty"`
	// Listener: a seccomp agent may have a say in the exec, so start doesn't wait
	// for it without end.
	Listener bool `json:"listener,omitempty"`

	// Restored: the first process was made from a checkpoint, and not by a stage,
	// so it doesn't show by its program whether it is in its root yet.
	Restored bool `json:"restored,omitempty"`

	// NoPivot and NoNewKeyring are the options the container was created with;
	// restore and exec go by them.
	NoPivot      bool `json:"noPivot,omitempty"`
	NoNewKeyring bool `json:"noNewKeyring,omitempty"`
}

// CorruptError reports a state.json that cannot be believed. It does not stop a
// forced delete.
type CorruptError struct {
	ID   string
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("state of container %q is damaged (%s: %v); \"delete --force %s\" cleans up", e.ID, e.Path, e.Err, e.ID)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// VersionError reports a state.json that a newer davit wrote.
type VersionError struct {
	ID      string
	Path    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("state of container %q has format version %d, this davit knows up to %d (%s): use the davit that created it, or a newer one",
		e.ID, e.Version, FormatVersion, e.Path)
}

// Begin records a container that is being made, so that it can be looked at and
// removed; Finish is for when it is made. The caller holds the lock from before
// Begin until after Finish: a record that isn't finished, and that nobody holds
// the lock of, is what a creator left who was killed.
func (d *Dir) Begin(r *Record) error { return d.save(unfinished, r, d.rename) }

// Finish makes the record that Begin wrote that of a container.
func (d *Dir) Finish() error {
	if err := d.rename(unfinished, recordName); err != nil {
		return fmt.Errorf("rename %s/%s to %s: %w", d.Path(), unfinished, recordName, err)
	}
	return nil
}

// Unfinished reports whether the record that Load returned last was that of a
// container that is being made, or was when its creator was killed.
func (d *Dir) Unfinished() bool { return d.creating }

// Save replaces the container's record. The caller holds the lock.
func (d *Dir) Save(r *Record) error { return d.save(recordName, r, d.replace) }

func (d *Dir) save(name string, r *Record, move func(from, to string) error) error {
	out := *r
	out.FormatVersion = FormatVersion
	if err := out.check(d.id); err != nil {
		return fmt.Errorf("save state of container %q: %w", d.id, err)
	}
	var e jsontext.Encoder
	encodeRecord(&e, &out)
	data, err := e.Text()
	if err != nil {
		return fmt.Errorf("save state of container %q: %w", d.id, err)
	}
	return d.writeFile(name, data, move)
}

// Load reads the container's record, finished or not. Its errors are one that
// wraps ErrNotExist if the record was never written, a *CorruptError, a
// *VersionError, or the kernel's.
func (d *Dir) Load() (*Record, error) {
	name := recordName
	data, err := d.readFile(name)
	if err == unix.ENOENT {
		name = unfinished
		data, err = d.readFile(name)
	}
	if err == unix.ENOENT { // there is none, or it was finished between the two looks
		name = recordName
		data, err = d.readFile(name)
	}
	if err == unix.ENOENT {
		return nil, d.unrecorded()
	}
	d.creating = name == unfinished
	path := d.Path() + "/" + name
	var errno unix.Errno
	if errors.As(err, &errno) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err != nil {
		return nil, &CorruptError{d.id, path, err}
	}
	return parse(data, d.id, path)
}

func parse(data []byte, id, path string) (*Record, error) {
	r := new(Record)
	var d jsontext.Decoder
	d.Start(string(data), nil)
	decodeRecord(&d, r)
	err := d.End()
	if err != nil { // encoding/json knows why, or takes it after all
		r = new(Record)
		err = json.Unmarshal(data, r)
	}
	version := r.FormatVersion
	if err != nil {
		// A newer format may have given a field another type.
		var v struct {
			FormatVersion int `json:"formatVersion"`
		}
		if json.Unmarshal(data, &v) == nil {
			version = v.FormatVersion
		}
	}
	if version > FormatVersion {
		return nil, &VersionError{id, path, version}
	}
	if err == nil {
		err = r.check(id)
	}
	if err != nil {
		return nil, &CorruptError{id, path, err}
	}
	return r, nil
}

// check refuses what no davit writes. A delete removes the directories that the
// record names, so these get a second look.
func (r *Record) check(id string) error {
	switch {
	case r.FormatVersion < 1:
		return fmt.Errorf("formatVersion: %d is none", r.FormatVersion)
	case r.ID != id:
		return fmt.Errorf("id: %.256q belongs to another container", r.ID)
	case r.Init.PID < 0 || r.Init.PID > 1<<22: // PID_MAX_LIMIT, proc_sys_kernel(5)
		return fmt.Errorf("init.pid: %d cannot be a process", r.Init.PID)
	case !cleanAbs(r.Bundle):
		return fmt.Errorf("bundle: %.256q is not a clean absolute path in UTF-8", r.Bundle)
	case !cleanAbs(r.Rootfs):
		return fmt.Errorf("rootfs: %.256q is not a clean absolute path in UTF-8", r.Rootfs)
	case r.IntelRdtClass != "" && (filepath.Base(r.IntelRdtClass) != r.IntelRdtClass || r.IntelRdtClass == "/" || r.IntelRdtClass == ".."):
		return fmt.Errorf("intelRdtClass: %.256q is not a directory's name", r.IntelRdtClass)
	case !utf8.ValidString(r.IntelRdtClass):
		return fmt.Errorf("intelRdtClass: %.256q is not in UTF-8", r.IntelRdtClass)
	case r.IntelRdtOwned && r.IntelRdtClass != id:
		return fmt.Errorf("intelRdtOwned: class %.256q was not made for this container", r.IntelRdtClass)
	}
	for controller, path := range r.CgroupPaths {
		if !cleanAbs(path) || path == "/" {
			return fmt.Errorf("cgroupPaths[%.64q]: %.256q cannot be a cgroup's path", controller, path)
		}
	}
	return nil
}

// cleanAbs reports whether path is absolute, free of "..", "." and "//", and
// comes back from JSON as it went in.
func cleanAbs(path string) bool {
	return filepath.IsAbs(path) && filepath.Clean(path) == path && utf8.ValidString(path)
}

// Status derives the container's status from whether its exec.fifo exists, its
// cgroup is frozen, and its first process is alive.
func (r *Record) Status(fifoExists, frozen, alive bool) specs.ContainerState {
	switch {
	case !alive || r.Init.PID == 0:
		return specs.StateStopped
	case frozen:
		return StatePaused
	case fifoExists:
		return specs.StateCreated
	}
	return specs.StateRunning
}

// State returns the specification's view of the container: what hooks and
// seccomp agents are told. The pid is that of the runtime's pid namespace, and
// left out for a stopped container, which has none.
func (r *Record) State(status specs.ContainerState) *specs.State {
	s := &specs.State{
		Version:     r.OCIVersion,
		ID:          r.ID,
		Status:      status,
		Pid:         r.Init.PID,
		Bundle:      r.Bundle,
		Annotations: r.Annotations,
	}
	if status == specs.StateStopped {
		s.Pid = 0
	}
	return s
}
