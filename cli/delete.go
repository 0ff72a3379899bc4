package cli

import urfave "github.com/urfave/cli/v3"

func deleteCommand(a *app) *urfave.Command {
	var force bool
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Removes a container that has stopped, or was never started: its state, its cgroups and what is left in them.

With --force a running one is killed first, what a crash left behind is cleaned up, and a container that doesn't exist is no error.

EXAMPLES
davit delete web
davit delete --force web`,
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "whatever the container's status, kill and remove it", Destination: &force},
		},
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return rt.Delete(args[0], force)
		}),
	}
}
