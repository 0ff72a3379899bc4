package cli

import (
	"errors"
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
)

func createCommand(a *app) *urfave.Command {
	var opts libcontainer.CreateOptions
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Makes the container ID from a bundle, a directory with a config.json and a root filesystem, up to the point where only its process is missing. "davit start" executes that.

IDs are up to 255 letters, digits and any of _+-. and unique within --root.

EXAMPLES
# Make a container from the bundle in the working directory, look at it, let it go on.
davit create web
davit state web
davit start web

# With a terminal, whose other end is sent to a socket.
davit create --bundle /srv/web --console-socket /run/web.sock --pid-file /run/web.pid web`,
		Flags: append(createFlags(&opts), a.timingsFlag()),
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
				err = rt.Create(args[0], &opts)
			}
			if err != nil {
				return fmt.Errorf("davit create failed: %w", err)
			}
			return nil
		}),
	}
}

// createFlags are those of create and run.
func createFlags(o *libcontainer.CreateOptions) []urfave.Flag {
	return append([]urfave.Flag{
		bundleFlag(&o.Bundle),
		&urfave.StringFlag{Name: "console-socket", Usage: "send the terminal's master to the UNIX socket `PATH`", Destination: &o.ConsoleSocket},
		&urfave.StringFlag{Name: "pid-file", Usage: "write the process's pid to `FILE`", Destination: &o.PIDFile},
		&urfave.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to the UNIX socket `PATH`", Destination: &o.PidfdSocket},
	}, worldFlags(o)...)
}

// worldFlags are those that change how the container is made.
func worldFlags(o *libcontainer.CreateOptions) []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "no-pivot", Usage: "move the root instead of pivot_root(2): for a root filesystem on ramfs; less isolated", Destination: &o.NoPivot},
		&urfave.BoolFlag{Name: "no-new-keyring", Usage: "keep the caller's session keyring", Destination: &o.NoNewKeyring},
		&urfave.IntFlag{Name: "preserve-fds", Usage: "pass `N` more file descriptors on, from 3", Destination: &o.PreserveFDs, Validator: checkCount},
	}
}

func checkCount(n int) error {
	if n < 0 {
		return errors.New("can't be negative")
	}
	return nil
}
