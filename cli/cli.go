// Package cli is davit's command line: it turns flags into one call of package
// libcontainer, and the result into output, log and exit code.
//
// Each command is a file of its own with one constructor, listed in
// [commands]. Only the invoked command is constructed.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
	"davit/libcontainer/timings"
	"davit/nsenter"
)

const name = "davit"

// app is one invocation.
type app struct {
	stdout, stderr io.Writer
	global         globals
	log            *slog.Logger // nil until openLog
	inherited      int          // descriptors of the caller, from 3 on
	timings        timingsTo
	began          uint64         // when Main was called, in ns of CLOCK_MONOTONIC
	code           int            // the exit code of a command that didn't fail
	early          *nsenter.Stage // started before anything else, for a command that can use it, or nil
}

// Main runs the command line args, whose first element is the program's name,
// and returns the exit code: 0, the status of a container's process, or 1 for
// an error, which is logged.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 { // execve(2) allows it
		args = []string{name}
	}
	a := &app{began: timings.Now(), stdout: stdout, stderr: stderr, inherited: takeDescriptors(), early: nsenter.Early()}
	if a.early != nil {
		defer a.early.Close() // again, if it was used
	}
	if err := a.tree(args).Run(context.Background(), args); err != nil {
		return a.fail(err)
	}
	return a.code
}

// codeError is an error with an exit code of its own.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// fail reports an error to the log and, where that isn't stderr, to stderr as
// well: engines read the one, people and conmon the other.
func (a *app) fail(err error) int {
	if lerr := a.openLog(); lerr != nil {
		err = fmt.Errorf("%w; %w", lerr, err)
	}
	if a.global.root == "" {
		err = caller().hint(err)
	}
	a.log.Error(err.Error())
	if a.global.logFile != "" {
		fmt.Fprintln(a.stderr, string(appendVisible(nil, err.Error())))
	}
	var u *usageError
	if errors.As(err, &u) {
		u.printUsage(a.stderr)
	}
	var c *codeError
	if errors.As(err, &c) {
		return c.code
	}
	return 1
}

// runtime opens the containers that the global flags choose.
func (a *app) runtime() (*libcontainer.Runtime, error) {
	self := caller()
	rootless, err := a.global.rootlessMode(self)
	if err != nil {
		return nil, err
	}
	root := a.global.root
	if root == "" {
		root = self.stateRoot()
	}
	a.log.Debug(fmt.Sprintf("davit %s; containers in %s", version, root))
	opts, err := a.global.cgroups()
	if err != nil {
		return nil, err
	}
	opts.Root, opts.Log, opts.SystemdUser, opts.Rootless, opts.Timings = root, a.log, self.unprivileged(), rootless, a.recorder()
	return libcontainer.New(opts)
}

// action wraps what a command does: it is called with the log open and between
// min and max arguments; max < 0 is any number.
func (a *app) action(minArgs, maxArgs int, do func(args []string) error) urfave.ActionFunc {
	return func(_ context.Context, cmd *urfave.Command) error {
		if a.global.version {
			return a.printVersion()
		}
		if err := a.openLog(); err != nil {
			return err
		}
		args := cmd.Args().Slice()
		if err := checkArgs(cmd, len(args), minArgs, maxArgs); err != nil {
			return err
		}
		return do(args)
	}
}
