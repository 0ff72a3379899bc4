package cli

import (
	"os"

	urfave "github.com/urfave/cli/v3"
)

func startCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Executes the process that config.json names in a container that "davit create" made. It returns when the process runs; a program that can't be executed is an error, with the reason.

EXAMPLES
davit create web
davit start web`,
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return rt.Start(args[0], os.Getenv("NOTIFY_SOCKET"))
		}),
	}
}
