// Package libcontainer runs containers: it is the life of one, from create to
// delete, and the only place where davit's parts meet.
//
// A [Runtime] stands for a state directory and the containers in it. Making a
// container goes one way: the bundle is loaded and checked (package bundle),
// compiled (package plan) and handed to a stage (package nsenter), while the
// runtime does beside it what only it can do: control groups, user-namespace
// mappings, seccomp, hooks, state.
//
// A program that imports this package needs no hook in its main function.
package libcontainer

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"davit/libcontainer/state"
)

// Runtime manages the containers of one state directory.
type Runtime struct {
	store *state.Store
	log   *slog.Logger
	opts  Options
}

// Options of a [Runtime].
type Options struct {
	Root          string       // the state directory; made when the first container is
	Log           *slog.Logger // nil discards
	SystemdCgroup bool         // cgroups are made by systemd
	Rootless      bool         // a lack of permission to make cgroups is not an error
}

// New opens a state directory.
func New(opts Options) (*Runtime, error) {
	if opts.SystemdCgroup {
		return nil, errors.New("option --systemd-cgroup: the systemd cgroup driver is not supported by this version of davit; use cgroupfs paths")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	store, err := state.Open(opts.Root)
	if err != nil {
		return nil, err
	}
	return &Runtime{store: store, log: opts.Log, opts: opts}, nil
}

// Errors that callers match; the phrases are what engines look for.
var (
	ErrNotRunning = errors.New("container not running")
	ErrNotStopped = errors.New("container is not stopped")
)

// StatusError is an operation that the container's status doesn't allow.
type StatusError struct {
	Text string
	Err  error // one of the above, or nil
}

func (e *StatusError) Error() string { return e.Text }
func (e *StatusError) Unwrap() error { return e.Err }

// CreateOptions say how a container is made.
type CreateOptions struct {
	Bundle        string // directory; "" is the working directory
	PIDFile       string // where to write the pid of the container's process, or ""
	ConsoleSocket string // where to send the terminal's master, or ""
	NoPivot       bool   // move the root's mount instead of pivot_root(2)
	NoNewKeyring  bool   // keep the caller's session keyring
	PreserveFDs   int    // how many descriptors from 3 on the process inherits
}

// files are the descriptors that the container's process inherits: the standard streams and those asked for.
func (o *CreateOptions) files() ([]uintptr, error) {
	files := []uintptr{0, 1, 2}
	for fd := 3; fd < 3+o.PreserveFDs; fd++ {
		f := os.NewFile(uintptr(fd), "")
		if f == nil {
			return nil, fmt.Errorf("unable to stat preserved-fd %d: bad file descriptor", fd)
		}
		files = append(files, uintptr(fd))
	}
	return files, nil
}
