package libcontainer

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"davit/libcontainer/hooks"
)

// debugf logs what is done, for --debug. What fails is told by errors.
func (rt *Runtime) debugf(format string, args ...any) {
	if rt.log.Enabled(context.Background(), slog.LevelDebug) {
		rt.log.Debug(fmt.Sprintf(format, args...))
	}
}

// debugHook logs a hook that succeeded: of one that failed its error tells.
func (rt *Runtime) debugHook(r hooks.Result) {
	if r.Err == nil {
		rt.debugf("hooks.%s[%d] (%s): succeeded after %s; output: %q", r.Kind, r.Index, r.Path, r.Duration, r.Output)
	}
}

// debugLaunched logs where the process of a launch is.
func (l *launch) debugLaunched() {
	if l.rt.log.Enabled(context.Background(), slog.LevelDebug) {
		dirs := slices.Compact(slices.Sorted(maps.Values(l.cgroup.Paths())))
		l.rt.debugf("process %d cloned, its cgroups: %s", l.pid, strings.Join(dirs, ", "))
	}
}
