package cli

import urfave "github.com/urfave/cli/v3"

func pauseCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Stops all processes of the container ID where they are, without a signal that they could see, until "davit resume". It returns when all of them have stopped.

EXAMPLES
davit pause web
davit resume web`,
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return rt.Pause(args[0])
		}),
	}
}
