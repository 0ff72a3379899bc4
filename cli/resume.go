package cli

import urfave "github.com/urfave/cli/v3"

func resumeCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Lets the processes of the container ID go on that "davit pause" stopped.

EXAMPLES
davit resume web`,
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return rt.Resume(args[0])
		}),
	}
}
