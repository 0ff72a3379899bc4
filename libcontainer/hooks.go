package libcontainer

import (
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/hooks"
	"davit/libcontainer/plan"
	"davit/libcontainer/process"
	"davit/libcontainer/specjson"
	"davit/libcontainer/state"
	"davit/nsenter"
)

func hasStartHooks(h *specs.Hooks) bool {
	return h != nil && len(h.StartContainer)+len(h.Poststart) > 0
}

// hookState is what hooks read on their standard input (runtime.md, State).
func hookState(r *state.Record, status specs.ContainerState, pid int) []byte {
	st := r.State(status)
	st.Pid = pid
	return specjson.EncodeState(st)
}

// runCreateHooks runs the hooks between the mounts and pivot_root. Without the
// process there is nothing to make: whoever killed it doesn't wait for a hook.
func (b *boot) runCreateHooks() error {
	b.hooksBegun = true
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ended, err := b.record.Init.Ended(ctx)
	if err != nil {
		return err
	}
	go func() {
		select {
		case <-ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	err = b.createHooks(ctx)
	if errors.Is(err, errEnded) {
		return b.died()
	}
	b.hooked = err == nil
	return err
}

var errEnded = errors.New("the container's process has ended")

// createHooks runs them in the spec's order.
func (b *boot) createHooks(ctx context.Context) error {
	h := b.spec.Hooks
	outer := hookState(b.record, specs.StateCreating, b.pid)
	if err := hooks.Run(ctx, h.Prestart, hooks.Prestart, outer, b.rt.hooksOutside()); err != nil {
		return err
	}
	if err := hooks.Run(ctx, h.CreateRuntime, hooks.CreateRuntime, outer, b.rt.hooksOutside()); err != nil {
		return err
	}
	return b.rt.runInside(ctx, h.CreateContainer, hooks.CreateContainer, b.record, b.spec, specs.StateCreating)
}

// hooksOutside are the options of hooks in the runtime's namespaces.
func (rt *Runtime) hooksOutside() hooks.Options {
	return hooks.Options{Start: startOutside, Observe: rt.debugHook}
}

// startOutside starts a hook in the runtime's namespaces. A timer of its own is the hook's business.
func startOutside(h specs.Hook, stdin, stdout, stderr *os.File) (hooks.Process, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	nsenter.CallersTimers()
	return hooks.StartProcess(h, stdin, stdout, stderr)
}

// runInside runs hooks in the container's namespaces. They see the pid that the container sees.
func (rt *Runtime) runInside(ctx context.Context, list []specs.Hook, kind string, r *state.Record, spec *specs.Spec, status specs.ContainerState) error {
	if len(list) == 0 {
		return nil
	}
	inner, err := process.NSpid(r.Init.PID)
	if err != nil {
		return err
	}
	flags, err := plan.Namespaces(spec)
	if err != nil {
		return err
	}
	opts := hooks.Options{Start: (&enterer{init: r.Init, namespaces: flags}).start, Observe: rt.debugHook}
	return hooks.Run(ctx, list, kind, hookState(r, status, inner), opts)
}

// poststop runs what has to follow a container's end. Failures are only warned of (runtime.md, Lifecycle).
func (rt *Runtime) poststop(spec *specs.Spec, r *state.Record) {
	if spec == nil || spec.Hooks == nil || len(spec.Hooks.Poststop) == 0 || r == nil {
		return
	}
	opts := rt.hooksOutside()
	opts.KeepGoing = true
	err := hooks.Run(context.Background(), spec.Hooks.Poststop, hooks.Poststop, hookState(r, specs.StateStopped, 0), opts)
	if err != nil {
		rt.log.Warn(err.Error())
	}
}
