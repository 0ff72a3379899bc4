package cli

import (
	"os"

	urfave "github.com/urfave/cli/v3"
)

func startCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "ID [PROCESS]",
		Description: `Executes the process that config.json names in a container that "davit create" made. It returns when the process runs; a program that can't be executed is an error, with the reason. With PROCESS it is one that "davit exec --create PROCESS" made.

EXAMPLES
davit create web
davit start web

# In two steps, to look at the process before it runs.
davit exec --create job1 web /bin/job
davit start web job1`,
		Flags: []urfave.Flag{a.timingsFlag()},
		Action: a.action(1, 2, func(args []string) error {
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return rt.StartProcess(args[0], args[1])
			}
			return rt.Start(args[0], os.Getenv("NOTIFY_SOCKET"))
		}),
	}
}
