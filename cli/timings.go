package cli

import (
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer/timings"
	"davit/nsenter"
)

// timingsTo is the value of --timings: "" for none, "true" for a waterfall on
// stderr, otherwise the file that the trace is written to.
type timingsTo string

func (t *timingsTo) Set(s string) error { *t = timingsTo(s); return nil }
func (t *timingsTo) String() string     { return string(*t) }
func (t *timingsTo) Get() any           { return string(*t) }
func (t *timingsTo) IsBoolFlag() bool   { return true }

func (a *app) timingsFlag() urfave.Flag {
	a.timings = timingsTo(os.Getenv("DAVIT_TIMINGS"))
	return optionalValue{&urfave.GenericFlag{Name: "timings", Usage: "show on stderr where the time goes; --timings=FILE writes it to FILE instead, for trace viewers", Value: &a.timings}}
}

// optionalValue is a flag whose value, if it has one, is behind a =.
type optionalValue struct{ *urfave.GenericFlag }

// TakesValue tells that the next argument isn't the flag's.
func (optionalValue) TakesValue() bool { return false }

// recorder is what the launch of a process is recorded with, or nil.
func (a *app) recorder() *timings.Recorder {
	wanted := a.timings != "" && a.timings != "0" && a.timings != "false"
	if !wanted && !a.global.debug {
		return nil
	}
	r := &timings.Recorder{}
	if a.global.debug {
		r.Log = func(s timings.Span) {
			a.log.Debug(fmt.Sprintf("%s: %s (%.3f ms)", s.Track, s.Name, float64(s.End-s.Begin)/1e6))
		}
	}
	r.Add(timings.Span{Track: timings.Runtime, Name: "start the Go runtime", Begin: nsenter.Began(), End: a.began})
	r.Add(timings.Span{Track: timings.Runtime, Name: "read the command line", Begin: a.began, End: timings.Now()})
	if !wanted {
		return r
	}
	r.Launched = func() {
		if err := a.showTimings(r); err != nil {
			a.log.Warn(fmt.Sprintf("--timings: %s", err))
		}
	}
	return r
}

func (a *app) showTimings(r *timings.Recorder) error {
	if a.timings == "true" || a.timings == "1" {
		return r.Waterfall(a.stderr)
	}
	f, err := os.Create(string(a.timings))
	if err != nil {
		return err
	}
	if err := r.Trace(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
