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
	"strconv"

	"golang.org/x/sys/unix"

	"davit/libcontainer/intelrdt"
	"davit/libcontainer/state"
	"davit/libcontainer/timings"
	"davit/nsenter"
)

// Runtime manages the containers of one state directory.
type Runtime struct {
	store *state.Store
	log   *slog.Logger
	opts  Options
}

// Options of a [Runtime].
type Options struct {
	Root          string            // the state directory; made when the first container is
	Log           *slog.Logger      // nil discards
	SystemdCgroup bool              // cgroups of new containers are made by systemd
	NoCgroups     bool              // new containers have no cgroups: they stay in the caller's
	SystemdUser   bool              // by the user's manager, not the system's
	Timings       *timings.Recorder // records how long the launch of a process takes, or nil
	Rootless      bool              // a lack of permission to make cgroups is not an error

	// Resctrl is where classes of linux.intelRdt are made. By default it is looked
	// up in the table of mounts, when a container needs it.
	Resctrl intelrdt.Tree
}

// New opens a state directory.
func New(opts Options) (*Runtime, error) {
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
	ErrCreating   = errors.New("container is being created")
)

// StatusError is an operation that the container's status doesn't allow.
type StatusError struct {
	Text string
	Err  error // one of the above, or nil
}

func (e *StatusError) Error() string { return e.Text }
func (e *StatusError) Unwrap() error { return e.Err }

// ProcessOptions say how a process is launched, the container's first or another one.
type ProcessOptions struct {
	PIDFile       string // where to write the process's pid, or ""
	ConsoleSocket string // where to send its terminal's master, or ""
	PidfdSocket   string // where to send a pidfd of it, or ""
	ListenFDs     int    // how many sockets from 3 on it is activated with (sd_listen_fds(3))
	PreserveFDs   int    // how many further descriptors it inherits

	// Stage is one that is running already, for the standard streams, or nil. A
	// launch that can use it sets it to nil and closes it.
	Stage *nsenter.Stage
}

// extra is the number of descriptors that the process inherits besides its standard streams.
func (o *ProcessOptions) extra() int { return o.ListenFDs + o.PreserveFDs }

// environment is what the process learns about its descriptors.
func (o *ProcessOptions) environment() []string {
	if o.ListenFDs == 0 {
		return nil
	}
	return []string{"LISTEN_FDS=" + strconv.Itoa(o.ListenFDs), "LISTEN_PID=1"}
}

// CreateOptions say how a container is made.
type CreateOptions struct {
	ProcessOptions
	Bundle       string // directory; "" is the working directory
	NoPivot      bool   // move the root's mount instead of pivot_root(2)
	NoNewKeyring bool   // keep the caller's session keyring
	NotifySocket string // the service manager's, to which the container's readiness is passed on, or "" (sd_notify(3))
}

// files are the descriptors that the process inherits: the standard streams and those asked for.
func (o *ProcessOptions) files() ([]uintptr, error) {
	files := make([]uintptr, 0, 3+o.extra())
	for fd := uintptr(0); fd < uintptr(3+o.extra()); fd++ {
		if fd > 2 {
			if _, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil {
				return nil, fmt.Errorf("unable to stat preserved-fd %d (of %d): %w", fd, o.extra(), err)
			}
		}
		files = append(files, fd)
	}
	return files, nil
}
