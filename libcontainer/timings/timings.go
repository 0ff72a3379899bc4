// Package timings records where the time of a launch goes: the runtime's own
// phases and the stage's instructions, on one clock, as a waterfall for people
// and as a trace for Chrome's and Perfetto's viewers.
//
// A nil [Recorder] records nothing and costs nothing.
package timings

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Track is who does something. What one track does is one thing after the other.
type Track int

// The tracks in the order in which they are shown.
const (
	Runtime Track = iota
	Stage
)

func (t Track) String() string { return [...]string{"davit", "stage"}[t] }

// Span is something that took time, in ns of CLOCK_MONOTONIC.
type Span struct {
	Track      Track
	Name       string
	Begin, End uint64
}

// Recorder collects spans. It is used by one goroutine.
type Recorder struct {
	// Launched, if not nil, is called once, when the process is launched and all is recorded.
	Launched func()
	// Log, if not nil, is told of each span when it is known.
	Log func(Span)

	spans []Span
}

// Finish calls Launched.
func (r *Recorder) Finish() {
	if r != nil && r.Launched != nil {
		r.Launched()
		r.Launched = nil
	}
}

// Now is the time on the clock of spans, in ns.
func Now() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it is always there
	return uint64(ts.Nano())
}

// Do records what the runtime does, under a name.
func (r *Recorder) Do(name string, do func() error) error {
	if r == nil {
		return do()
	}
	begin := Now()
	err := do()
	r.Add(Span{Runtime, name, begin, Now()})
	return err
}

// Add records a span that was measured elsewhere.
func (r *Recorder) Add(s Span) {
	if r != nil && s.Begin != 0 && s.Begin <= s.End {
		r.spans = append(r.spans, s)
		if r.Log != nil {
			r.Log(s)
		}
	}
}

// Spans returns what was recorded, in the order of beginnings.
func (r *Recorder) Spans() []Span {
	spans := slices.Clone(r.spans)
	slices.SortStableFunc(spans, func(a, b Span) int {
		switch {
		case a.Begin < b.Begin:
			return -1
		case a.Begin > b.Begin:
			return 1
		}
		return 0
	})
	return spans
}

// barWidth is the width of the waterfall's bars in characters.
const barWidth = 48

// Waterfall writes a line for every span: when it began, how long it took, in
// ms, who did what, and a bar. Of the stage only what took at least a hundredth
// of the whole has a line of its own; the rest is added up.
func (r *Recorder) Waterfall(w io.Writer) error {
	spans := r.Spans()
	if len(spans) == 0 {
		return nil
	}
	begin, end := spans[0].Begin, uint64(0)
	for _, s := range spans {
		end = max(end, s.End)
	}
	total := max(end-begin, 1)
	var b strings.Builder
	var short, shortTime uint64
	fmt.Fprintf(&b, "%9s %9s  %-6s %s\n", "at ms", "took ms", "", "what")
	for _, s := range spans {
		took := s.End - s.Begin
		if s.Track == Stage && took < total/100 {
			short++
			shortTime += took
			continue
		}
		from, to := (s.Begin-begin)*barWidth/total, (s.End-begin)*barWidth/total
		bar := strings.Repeat(" ", int(from)) + strings.Repeat("▇", int(max(to-from, 1)))
		fmt.Fprintf(&b, "%9.3f %9.3f  %-6s %-34s %s\n", milliseconds(s.Begin-begin), milliseconds(took), s.Track, s.Name, bar)
	}
	if short > 0 {
		fmt.Fprintf(&b, "%9s %9.3f  %-6s %d short ones\n", "", milliseconds(shortTime), Stage, short)
	}
	fmt.Fprintf(&b, "%9.3f\n", milliseconds(total))
	_, err := io.WriteString(w, b.String())
	return err
}

func milliseconds(ns uint64) float64 { return float64(ns) / 1e6 }

// traceEvent is an event of the trace event format; times are in µs.
type traceEvent struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"`
	PID   int            `json:"pid"`
	TID   Track          `json:"tid"`
	Time  float64        `json:"ts"`
	Took  float64        `json:"dur,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// Trace writes all spans in the trace event format.
func (r *Recorder) Trace(w io.Writer) error {
	spans := r.Spans()
	events := make([]traceEvent, 0, len(spans)+2)
	for _, t := range []Track{Runtime, Stage} {
		events = append(events, traceEvent{Name: "thread_name", Phase: "M", PID: 1, TID: t, Args: map[string]any{"name": t.String()}})
	}
	for _, s := range spans {
		events = append(events, traceEvent{Name: s.Name, Phase: "X", PID: 1, TID: s.Track,
			Time: float64(s.Begin-spans[0].Begin) / 1e3, Took: float64(s.End-s.Begin) / 1e3})
	}
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": events, "displayTimeUnit": "ms"})
}
