package cli

import (
	"encoding/json"

	urfave "github.com/urfave/cli/v3"
)

func stateCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Prints what is known of a container: its status (creating, created, running, paused or stopped), the pid of its process, 0 when there is none, its bundle, root filesystem and annotations.

EXAMPLES
davit state web
davit state web | jq -r .status`,
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			state, err := rt.State(args[0])
			if err != nil {
				return err
			}
			b, err := json.MarshalIndent(state, "", "  ")
			if err != nil {
				return err
			}
			if isTerminal(a.stdout) {
				b = append(b, '\n') // programs get the bytes that runc writes
			}
			_, err = a.stdout.Write(b)
			return err
		}),
	}
}
