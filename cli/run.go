package cli

import (
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
)

func runCommand(a *app) *urfave.Command {
	var opts libcontainer.RunOptions
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Creates the container ID from a bundle and starts it. In the foreground davit waits for the container's process, passes signals on to it, removes the container in the end and exits with the process's status, or 128 plus the number of the signal that ended it.

EXAMPLES
# Run the bundle in the working directory.
davit run web

# Leave it running; it is removed by hand.
davit run --detach --bundle /srv/web web
davit kill web
davit delete web`,
		Flags: append(createFlags(&opts.CreateOptions),
			&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return as soon as the process runs", Destination: &opts.Detach},
			&urfave.BoolFlag{Name: "keep", Usage: "don't remove the container in the end", Destination: &opts.Keep},
			&urfave.BoolFlag{Name: "no-subreaper", Usage: "don't adopt the container's orphaned processes", Destination: &opts.NoSubreaper}, a.timingsFlag()),
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err == nil {
				opts.Stage = a.early
				opts.NotifySocket = os.Getenv("NOTIFY_SOCKET")
				opts.ListenFDs, err = libcontainer.ListenFDs()
			}
			if err == nil {
				err = a.checkDescriptors(&opts.ProcessOptions)
			}
			if err == nil {
				a.code, err = rt.Run(args[0], &opts)
			}
			if err != nil {
				return fmt.Errorf("davit run failed: %w", err)
			}
			return nil
		}),
	}
}
