package libcontainer

import (
	"davit/libcontainer/timings"
	"davit/nsenter"
)

// step does a part of the launch, and records how long it took if that is asked for.
func (l *launch) step(name string, do func() error) error {
	return l.rt.opts.Timings.Do(name, do)
}

// recordStage records what the stage told of its instructions. The first time
// is that of its plan's arrival; in between it tells when the second plan was there.
func (l *launch) recordStage() {
	if len(l.times) == 0 {
		return
	}
	at, rest := l.times[0], l.times[1:]
	next := func() (uint64, bool) {
		if len(rest) == 0 {
			return 0, false
		}
		t := rest[0]
		rest = rest[1:]
		return t, true
	}
	for _, program := range []nsenter.Program{l.plan.World, l.program} {
		for _, in := range program {
			end, ok := next()
			if !ok {
				return
			}
			name := in.Op.Word()
			if in.Field != "" {
				name += " " + in.Field
			}
			if _, last := in.Op.(nsenter.NextPlan); last {
				name = "wait for the process's part"
				_, _ = next() // the instruction's own end: nothing was done since the arrival
			}
			l.rt.opts.Timings.Add(timings.Span{Track: timings.Stage, Name: name, Begin: at, End: end})
			at = end
		}
	}
}

// recordExec records what came after the stage's last word.
func (l *launch) recordExec() {
	if t := l.rt.opts.Timings; t != nil && len(l.times) > 0 {
		t.Add(timings.Span{Track: timings.Stage, Name: "exec", Begin: l.times[len(l.times)-1], End: timings.Now()})
		t.Finish()
	}
}
