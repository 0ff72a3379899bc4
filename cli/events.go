package cli

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	urfave "github.com/urfave/cli/v3"

	"davit/cgroups"
	"davit/libcontainer"
)

// event is a line of `events`, in runc's format.
type event struct {
	Type string         `json:"type"`
	ID   string         `json:"id"`
	Data *cgroups.Stats `json:"data,omitempty"`
}

// Types of events.
const (
	eventStats = "stats"
	eventOOM   = "oom"
)

func eventsCommand(a *app) *urfave.Command {
	var interval time.Duration
	var once bool
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Prints what happens to the container ID, one JSON object a line, until the container ends: "oom" when one of its processes is killed for want of memory, and "stats" with what its control groups count, in regular intervals.

EXAMPLES
davit events web
davit events --stats web | jq .data.memory.usage
davit events --interval 1s web | jq --unbuffered 'select(.type == "oom")'`,
		Flags: []urfave.Flag{
			&urfave.DurationFlag{Name: "interval", Usage: "print statistics every `DURATION`, such as 500ms or 1m", Value: 5 * time.Second, Destination: &interval},
			&urfave.BoolFlag{Name: "stats", Usage: "print statistics once, and nothing else", Destination: &once},
		},
		Action: a.action(1, 1, func(args []string) error {
			if interval <= 0 {
				return errors.New("duration interval must be greater than 0")
			}
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			out := json.NewEncoder(a.stdout)
			if once {
				stats, err := rt.Stats(args[0])
				if err != nil {
					return err
				}
				return out.Encode(&event{eventStats, args[0], stats})
			}
			return rt.Events(context.Background(), args[0], interval, func(e libcontainer.Event) error {
				if e.Stats == nil {
					return out.Encode(&event{Type: eventOOM, ID: args[0]})
				}
				return out.Encode(&event{eventStats, args[0], e.Stats})
			})
		}),
	}
}
