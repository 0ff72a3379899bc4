package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Warning is something in a config that was ignored, as the spec permits.
type Warning struct {
	Field string // JSON path in config.json
	Text  string
}

func (w Warning) String() string { return w.Field + ": " + w.Text }

// WriteError is a limit that the kernel didn't take.
type WriteError struct {
	Field string // JSON path in config.json, "" if none led here
	Path  string // file in a cgroup
	Value string
	Err   error // the errno
}

func (e *WriteError) Error() string {
	s := fmt.Sprintf("write %q to %s: %v", e.Value, e.Path, e.Err)
	if e.Field == "" {
		return s
	}
	if e.Err == unix.ENOENT {
		s += "; this kernel doesn't offer the setting"
	}
	return e.Field + ": " + s
}

func (e *WriteError) Unwrap() error { return e.Err }

// ControllerError is a limit whose controller the container can't have.
type ControllerError struct {
	Controller string
	Field      string // JSON path in config.json
	Reason     string // where it is missing, why, and what to try
}

func (e *ControllerError) Error() string {
	return fmt.Sprintf("%s: the %s controller is not available%s", e.Field, e.Controller, e.Reason)
}

// ResourceError is a value of linux.resources that no hierarchy of this host can express.
type ResourceError struct {
	Field  string // JSON path in config.json
	Reason string
}

func (e *ResourceError) Error() string { return e.Field + ": " + e.Reason }

// NotEmptyError is returned by Create for a cgroup that has processes. Its text is what
// engines know from runc.
type NotEmptyError struct {
	Path  string // the container's directory
	Count int    // processes in it and below
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("container's cgroup is not empty: %d process(es) found", e.Count)
}

// BusyError is returned by Destroy for a cgroup that could not be removed in time.
type BusyError struct {
	Path string
	Pids []int // processes in it and below; empty if its cgroups are kept some other way
	Err  error
}

func (e *BusyError) Error() string {
	if len(e.Pids) == 0 {
		return fmt.Sprintf("remove cgroup %s: %v", e.Path, e.Err)
	}
	const most = 16
	names := make([]string, 0, most)
	for _, pid := range e.Pids[:min(len(e.Pids), most)] {
		names = append(names, strconv.Itoa(pid))
	}
	if len(e.Pids) > most {
		names = append(names, fmt.Sprintf("… (%d in all)", len(e.Pids)))
	}
	return fmt.Sprintf("remove cgroup %s: held by process(es) %s; kill them and try again", e.Path, strings.Join(names, ", "))
}

func (e *BusyError) Unwrap() error { return e.Err }
