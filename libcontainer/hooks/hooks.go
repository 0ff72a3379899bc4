// Package hooks runs the programs that a container's configuration names for the
// events of its life (runtime-spec, config.md, "POSIX-platform Hooks").
//
// It decides how one list of hooks is run, not when: the points in a container's
// life are the caller's, and so is, for hooks that have to run inside the
// container's namespaces, the way their processes are started.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The kinds of hooks, named as in config.json.
const (
	Prestart        = "prestart"
	CreateRuntime   = "createRuntime"
	CreateContainer = "createContainer"
	StartContainer  = "startContainer"
	Poststart       = "poststart"
	Poststop        = "poststop"
)

// Process is a hook that was started.
type Process interface {
	// Wait waits for the hook to end, reaps it, and returns how it ended. It is
	// called once.
	Wait() (unix.WaitStatus, error)
	// Kill sends SIGKILL to the hook and to the processes it started, as far as
	// they stayed with it. It is called while Wait waits, from another goroutine,
	// and does nothing once the hook was reaped.
	Kill() error
}

// Starter starts a hook: it executes hook.Path with exactly the arguments and the
// environment given, where empty arguments mean the path alone, and with the
// three files as standard streams. stdout and stderr may be the same file. The
// files stay the caller's.
type Starter func(hook specs.Hook, stdin, stdout, stderr *os.File) (Process, error)

// Options change how Run runs hooks. The zero value is that of a hook in the
// namespaces of the runtime whose failure is the container's.
type Options struct {
	// Start starts a process; nil means StartProcess.
	Start Starter
	// KeepGoing runs the remaining hooks after one failed, as poststop needs.
	KeepGoing bool
	// Observe, if not nil, is told of each hook that was run, failed or not.
	Observe func(Result)
}

// Result is what became of a hook.
type Result struct {
	Kind  string
	Index int // in the list of its kind
	Path  string
	// Duration is from the hook's start to its end, 0 if it was never started.
	Duration time.Duration
	// Status is how the process ended. It says nothing if there was none, or it
	// could not be waited for: then Err says why.
	Status unix.WaitStatus
	// Output is the end of what the hook wrote to its standard output and error,
	// in the order it did, and Omitted the number of bytes before that.
	Output  []byte
	Omitted int64
	// Err is nil for a hook that succeeded.
	Err error
}

// ErrTimeout reports that a hook ran longer than its timeout and was killed.
var ErrTimeout = errors.New("killed after its timeout")

// Error is a hook that failed. It unwraps to ErrTimeout, the context's error or
// the kernel's, if one of these is why.
type Error struct{ Result }

func (e *Error) Error() string {
	s := fmt.Sprintf("hooks.%s[%d] (%s): %v", e.Kind, e.Index, e.Path, e.Err)
	if e.Duration > 0 {
		s += " after " + e.Duration.Round(time.Millisecond/10).String()
	}
	if len(e.Output) == 0 {
		return s
	}
	// Quoted: output is anybody's, and must neither end the line of a log nor
	// drive a terminal.
	s += "; output: "
	if e.Omitted > 0 {
		s += fmt.Sprintf("(%d bytes, then) ", e.Omitted)
	}
	return s + strconv.Quote(string(e.Output))
}

func (e *Error) Unwrap() error { return e.Err }

// ExitError is the end of a hook that did not exit with status 0.
type ExitError struct{ Status unix.WaitStatus }

func (e *ExitError) Error() string {
	if !e.Status.Signaled() {
		return fmt.Sprintf("exit status %d", e.Status.ExitStatus())
	}
	sig := e.Status.Signal()
	name := unix.SignalName(sig)
	if name == "" {
		name = fmt.Sprintf("signal %d", int(sig))
	}
	if e.Status.CoreDump() {
		name += " (core dumped)"
	}
	return "killed by " + name
}

// Run runs the hooks of one kind in the order they are listed, each with state,
// the container's state in JSON, on its standard input. It returns at the first
// one that fails with an *Error; with KeepGoing it runs them all and returns the
// *Errors joined.
//
// A hook has failed if it cannot be started, exits with another status than 0,
// is killed by a signal, or runs longer than its timeout, for which it is killed
// with its process group; so it is when ctx is done, after which no further hook
// is run in any case. A hook has ended when its process has: processes it left
// behind are not waited for, even if they hold its output.
func Run(ctx context.Context, hooks []specs.Hook, kind string, state []byte, opts Options) error {
	if opts.Start == nil {
		opts.Start = StartProcess
	}
	var failed []error
	for i, hook := range hooks {
		r := Result{Kind: kind, Index: i, Path: hook.Path}
		if r.Err = context.Cause(ctx); r.Err == nil {
			r.Err = check(hook)
		}
		if r.Err == nil {
			runOne(ctx, hook, state, opts.Start, &r)
		}
		if opts.Observe != nil {
			opts.Observe(r)
		}
		if r.Err == nil {
			continue
		}
		failed = append(failed, &Error{r})
		if !opts.KeepGoing || ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// check refuses what the specification forbids, although the configuration was
// checked when it was loaded: what is run here is run with all privileges.
func check(hook specs.Hook) error {
	if !filepath.IsAbs(hook.Path) {
		return errors.New("path must be absolute")
	}
	if hook.Timeout != nil && *hook.Timeout <= 0 {
		return fmt.Errorf("timeout must be greater than zero, it is %d", *hook.Timeout)
	}
	return nil
}

// runOne fills in the result of a hook.
func runOne(ctx context.Context, hook specs.Hook, state []byte, start Starter, r *Result) {
	begin := time.Now()
	streams, err := newStreams()
	if err != nil {
		r.Err = err
		return
	}
	p, err := start(hook, streams.childIn, streams.childOut, streams.childOut)
	streams.closeChild()
	if err != nil {
		streams.end()
		r.Err = err
		return
	}
	streams.serve(state)
	r.Status, r.Err = wait(ctx, p, hook.Timeout)
	r.Duration = time.Since(begin)
	r.Output, r.Omitted = streams.end()
	if r.Err == nil && r.Status != 0 {
		r.Err = &ExitError{r.Status}
	}
}

// wait waits for a hook's end, and kills it if that is late.
func wait(ctx context.Context, p Process, timeout *int) (unix.WaitStatus, error) {
	type end struct {
		status unix.WaitStatus
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		status, err := p.Wait()
		ended <- end{status, err}
	}()

	var late <-chan time.Time
	if timeout != nil {
		// Longer than the 292 years of a Duration is no timeout.
		if d := time.Duration(*timeout) * time.Second; d/time.Second == time.Duration(*timeout) {
			t := time.NewTimer(d)
			defer t.Stop()
			late = t.C
		}
	}
	var why error
	select {
	case e := <-ended:
		return e.status, e.err
	case <-late:
		why = fmt.Errorf("%w of %d s", ErrTimeout, *timeout)
	case <-ctx.Done():
		why = fmt.Errorf("killed: %w", context.Cause(ctx))
	}
	if err := p.Kill(); err != nil {
		// It goes on, and waiting for it would too.
		return 0, fmt.Errorf("%w; it may still run: %w", why, err)
	}
	e := <-ended
	return e.status, why
}
