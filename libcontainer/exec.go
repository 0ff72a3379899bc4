package libcontainer

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/libcontainer/bundle"
	"davit/libcontainer/plan"
	"davit/libcontainer/process"
	"davit/libcontainer/signals"
	"davit/libcontainer/state"
	"davit/nsenter"
)

// ExecOptions say how a process joins a container.
type ExecOptions struct {
	ProcessOptions
	// Process makes the process from the container's configuration. What it returns is checked.
	Process      func(*specs.Spec) (*specs.Process, error)
	Detach       bool     // return when the process runs
	Park         string   // let the process wait, under this name, for [Runtime.StartProcess]; "" executes it
	IgnorePaused bool     // join even while the container is paused
	Cgroups      []string // sub-cgroups to join instead of the container's: "path" for all hierarchies or "controller:path"
}

// Exec runs another process in a running container. Unless detached it waits
// for its end, passing signals on, and returns the exit code as [Runtime.Run] does.
func (rt *Runtime) Exec(id string, opts *ExecOptions) (int, error) {
	detach := opts.Detach || opts.Park != ""
	var caught *signals.Pipe
	if !detach {
		var err error
		if caught, err = catchForwarded(); err != nil {
			return 1, err
		}
		defer caught.Close()
	}
	c, err := rt.open(id)
	if err != nil {
		return 1, err
	}
	defer c.close()
	if err := c.refuseCreating("exec"); err != nil {
		return 1, err
	}
	switch {
	case c.over():
		return 1, &StatusError{Text: "cannot exec in a stopped container", Err: ErrNotRunning}
	case !opts.IgnorePaused && c.frozen():
		return 1, &StatusError{Text: "cannot exec in a paused container (use --ignore-paused to override)"}
	}
	e, err := rt.join(c, opts, c.record.CgroupPaths)
	if errors.Is(err, unix.EBUSY) && len(opts.Cgroups) == 0 {
		e, err = rt.joinBesideInit(c, opts, err)
	}
	if err != nil && len(opts.Cgroups) == 0 && c.outOfReach(err) {
		rt.log.Warn("the process stays in its caller's cgroup: " + err.Error())
		e, err = rt.join(c, opts, nil)
	}
	if err != nil && c.ended(err) {
		err = &StatusError{Text: "cannot exec in a stopped container", Err: ErrNotRunning}
	}
	if err != nil {
		return 1, err
	}
	defer e.release()
	if detach {
		return 0, nil
	}
	ws, err := e.wait(caught, false)
	return process.ExitCode(ws), err
}

// ended tells whether a container ended while a process was joining it, which
// ends with it. What is ending has left its namespaces before it is dead (setns(2), ESRCH).
func (c *container) ended(err error) bool {
	var failed *nsenter.InstrError
	return !c.record.Init.Alive() || errors.As(err, &failed) && failed.Call == "setns" && failed.Errno == unix.ESRCH
}

// outOfReach tells that a caller without privileges may not put a process into the cgroup that
// davit found for a container which asked for none: that was beside another caller, such as
// a user's desktop, and this one comes from elsewhere, such as that user's login by SSH.
func (c *container) outOfReach(err error) bool {
	if beside, e := c.dir.LoadCgroup(); e != nil || beside == "" {
		return false
	}
	var failed *nsenter.InstrError
	var written *cgroups.WriteError
	if errors.As(err, &failed) {
		_, clone := failed.Instr.Op.(nsenter.Clone)
		return clone && failed.Errno == unix.EACCES
	}
	return errors.As(err, &written) && errors.Is(err, unix.EACCES)
}

// join launches a process in an existing container.
type join struct {
	launch
	container *container
	opts      *ExecOptions
	cgroups   map[string]string // where the process goes, by controller
	parked    *state.Dir        // of a process that waits for its start
}

func (rt *Runtime) join(c *container, opts *ExecOptions, paths map[string]string) (*join, error) {
	e := &join{launch: launch{rt: rt, opts: &opts.ProcessOptions, kind: "setns", detach: opts.Detach || opts.Park != "", record: c.record, held: opts.Park != ""},
		container: c, opts: opts, cgroups: paths}
	if err := e.run(); err != nil {
		e.abandon()
		if e.cgroup != nil {
			e.cgroup.Close()
		}
		if e.parked != nil {
			_ = e.parked.Remove()
			e.parked.Close()
		}
		return nil, err
	}
	return e, nil
}

// joinBesideInit is for a container whose payload, such as systemd, has made
// cgroups of its own below the container's, which then takes no process any
// more (cgroups(7), no internal processes).
func (rt *Runtime) joinBesideInit(c *container, opts *ExecOptions, busy error) (*join, error) {
	layout, err := cgroups.Detect()
	if err != nil {
		return nil, err
	}
	paths, err := cgroups.PathsOf(layout, c.record.Init.PID)
	if err != nil {
		return nil, busy
	}
	return rt.join(c, opts, paths)
}

func (e *join) run() error {
	if err := e.step("start the stage", e.startStage); err != nil {
		return err
	}
	if err := e.step("load the configuration", e.configure); err != nil {
		return err
	}
	if err := e.checkTerminal(); err != nil {
		return err
	}
	if err := e.claim(); err != nil {
		return err
	}
	if err := e.step("compile the plan", e.compile); err != nil {
		return err
	}
	if err := e.execute(e); err != nil {
		return err
	}
	if e.parked != nil {
		e.rt.opts.Timings.Finish()
		return nil
	}
	return e.execed()
}

// configure takes the container's configuration with the new process in it.
func (e *join) configure() error {
	raw, err := e.container.dir.LoadConfig()
	if err != nil {
		return err
	}
	spec, err := bundle.Parse(raw)
	if err != nil {
		return err
	}
	p, err := e.opts.Process(spec)
	if err != nil {
		return err
	}
	if err := bundle.CheckProcess(p, spec.Version); err != nil {
		return err
	}
	spec.Process = p
	spec.Hooks = nil // those are the container's, not the process's
	e.spec = spec
	return nil
}

func (e *join) compile() error {
	facts, err := hostFacts(e.spec, e.record.Rootfs)
	if err != nil {
		return err
	}
	if e.cgroup, err = e.openCgroup(); err != nil {
		return err
	}
	_, facts.IntoCgroup = e.cgroup.Dir()
	e.plan, err = plan.CompileExec(&plan.Input{
		ID: e.record.ID, Spec: e.spec, Bundle: e.record.Bundle, Rootfs: e.record.Rootfs, NoNewKeyring: e.record.NoNewKeyring,
		Inherited: e.opts.extra(), ExtraEnv: e.opts.environment(), Park: e.parked != nil, Facts: facts,
	})
	return err
}

// openCgroup opens the cgroups that the process joins: the container's, or those below that were asked for.
func (e *join) openCgroup() (cgroups.Manager, error) {
	paths := e.cgroups
	if len(e.opts.Cgroups) > 0 {
		sub := make(map[string]string, len(paths))
		for k, v := range paths {
			sub[k] = v
		}
		for _, s := range e.opts.Cgroups {
			if err := subCgroup(sub, paths, s); err != nil {
				return nil, err
			}
		}
		paths = sub
	}
	return e.container.cgroupAt(paths)
}

func subCgroup(sub, paths map[string]string, arg string) error {
	controllers, dir, named := strings.Cut(arg, ":")
	if !named {
		dir = arg
		for k := range paths {
			if err := putSub(sub, paths, k, dir, arg); err != nil {
				return err
			}
		}
		return nil
	}
	for _, k := range strings.Split(controllers, ",") {
		if err := putSub(sub, paths, k, dir, arg); err != nil {
			return err
		}
	}
	return nil
}

func putSub(sub, paths map[string]string, controller, dir, arg string) error {
	own, ok := paths[controller]
	if !ok {
		return fmt.Errorf("--cgroup %s: the container has no cgroup for controller %q", arg, controller)
	}
	at := path.Join(own, dir)
	if at != own && !strings.HasPrefix(at, own+"/") {
		return fmt.Errorf("--cgroup %s: is not a sub cgroup path", arg)
	}
	sub[controller] = at
	return nil
}

func (e *join) cloned() error {
	if _, into := e.cgroup.Dir(); !into {
		if err := e.cgroup.Attach(e.pid); err != nil {
			return err
		}
	}
	if err := e.joinResctrl(); err != nil {
		return err
	}
	e.joined = true
	return e.save()
}

func (e *join) confined() error { return nil }

func (e *join) waiting(t nsenter.Token) error {
	return fmt.Errorf("the stage waits for %s, which a joining process has no use for", t)
}

func (e *join) open(f *plan.FileRef) (int, error) {
	if f.Kind == plan.ExecFifo {
		return makeFifo(e.parked, unix.Geteuid(), unix.Getegid())
	}
	if f.Kind != plan.InitPidfd {
		return -1, fmt.Errorf("a plan asks for an unknown kind of descriptor (%d)", f.Kind)
	}
	fd, err := e.record.Init.Open()
	if errors.Is(err, process.ErrGone) {
		return -1, &StatusError{Text: "cannot exec in a stopped container", Err: ErrNotRunning}
	}
	return fd, err
}

// release lets go of the process.
func (e *join) release() {
	e.stage.Close()
	e.closeTerminal()
	e.cgroup.Close()
	if e.parked != nil {
		e.parked.Close()
	}
}
