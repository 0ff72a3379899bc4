package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	urfave "github.com/urfave/cli/v3"

	"davit/cgroups"
	"davit/libcontainer"
	"davit/libcontainer/state"
)

// statsFlags say what is shown, and how.
type statsFlags struct {
	format   string
	once     bool
	interval time.Duration
}

func statsCommand(a *app) *urfave.Command {
	var f statsFlags
	return &urfave.Command{
		ArgsUsage: "[ID...]",
		Description: `Shows what containers use, those named or all that aren't stopped: as a table, which on a terminal is renewed until you press Ctrl-C, as the JSON lines of "davit events", or as metrics in the OpenMetrics format, which Prometheus and its node exporter's textfile collector read.

CPU % is the share of one CPU since the last look; the first look takes a quarter of a second.

EXAMPLES
davit stats
davit stats --no-stream web db
davit stats --format json web | jq .data.pids.current

# For the textfile collector, by cron(8).
davit stats --format openmetrics > davit.new && mv davit.new /var/lib/node_exporter/davit.prom`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `table|json|openmetrics`", Value: "table", Destination: &f.format},
			&urfave.BoolFlag{Name: "no-stream", Usage: "print the table once on a terminal, too", Destination: &f.once},
			&urfave.DurationFlag{Name: "interval", Usage: "renew the table every `DURATION` (default 2s)", Value: 2 * time.Second, Destination: &f.interval},
		},
		Action: a.action(0, -1, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return a.stats(&observer{rt: rt, ids: args, warn: a.log.Warn}, &f)
		}),
	}
}

func (a *app) stats(o *observer, f *statsFlags) error {
	switch f.format {
	case "table":
		return a.statsTable(o, f)
	case "json", "openmetrics":
		all, err := o.look()
		if err != nil {
			return err
		}
		if f.format == "json" {
			return printSamples(a.stdout, all)
		}
		return printMetrics(a.stdout, all)
	}
	return fmt.Errorf("invalid format option %q: choose table, json or openmetrics", f.format)
}

// firstLook is how long the use of CPUs is measured at first.
const firstLook = 250 * time.Millisecond

func (a *app) statsTable(o *observer, f *statsFlags) error {
	if f.interval <= 0 {
		return errors.New("duration interval must be greater than 0")
	}
	before, err := o.look()
	if err != nil {
		return err
	}
	live := isTerminal(a.stdout) && !f.once
	for pause := firstLook; ; pause = f.interval {
		if len(before) > 0 || pause == f.interval {
			time.Sleep(pause)
		}
		now, err := o.look()
		if err != nil {
			return err
		}
		table := statsRows(now, before)
		if !live {
			_, err := io.WriteString(a.stdout, table)
			return err
		}
		columns, rows := terminalSize(a.stdout)
		if _, err := io.WriteString(a.stdout, screen(table, columns, rows)); err != nil {
			return err
		}
		if len(o.ids) > 0 && len(now) == 0 {
			return nil // all that were named have ended
		}
		before = now
	}
}

// sample is what a container used at an instant.
type sample struct {
	id    string
	at    time.Time
	stats *cgroups.Stats
}

// observer looks at containers again and again.
type observer struct {
	rt   *libcontainer.Runtime
	ids  []string // none: all
	warn func(msg string, args ...any)
	seen bool
}

// look reads statistics. A container that was named has to run at the first look; later it may end.
func (o *observer) look() ([]sample, error) {
	ids := o.ids
	if len(ids) == 0 {
		var err error
		if ids, err = o.rt.IDs(); err != nil { // the stopped ones have no figures
			return nil, err
		}
	}
	all := make([]sample, 0, len(ids))
	for _, id := range ids {
		stats, err := o.rt.Stats(id)
		switch {
		case err == nil:
			all = append(all, sample{id, time.Now(), stats})
		case len(o.ids) > 0 && !o.seen:
			return nil, err
		case errors.Is(err, state.ErrNotExist), errors.Is(err, libcontainer.ErrNotRunning), errors.Is(err, cgroups.ErrNotExist):
		default:
			o.warn(fmt.Sprintf("container %s: %s", id, err))
		}
	}
	o.seen = true
	return all, nil
}

func printSamples(w io.Writer, all []sample) error {
	out := json.NewEncoder(w)
	for _, s := range all {
		if err := out.Encode(&event{eventStats, s.id, s.stats}); err != nil {
			return err
		}
	}
	return nil
}
