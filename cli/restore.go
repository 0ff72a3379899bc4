package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
)

func restoreCommand(a *app) *urfave.Command {
	var opts libcontainer.RestoreOptions
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Makes the container ID from the images that "davit checkpoint" wrote and from a bundle, and lets its processes go on. The bundle's root filesystem and what is mounted from the host have to be as they were; the id, and with it the cgroup, may be another.

In the foreground davit waits for the container's process as "davit run" does. Otherwise the process's standard streams are davit's own from now on, where they led outside of the container.

EXAMPLES
davit restore --image-path /var/lib/ckpt/web --bundle /srv/web --detach --pid-file web.pid web`,
		Flags: append(criuFlags(&opts.CRIUOptions),
			&urfave.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "the bundle is in `DIR` (default the working directory)", Destination: &opts.Bundle},
			&urfave.StringFlag{Name: "console-socket", Usage: "send the terminal's master to the UNIX socket `PATH`", Destination: &opts.ConsoleSocket},
			&urfave.StringFlag{Name: "pid-file", Usage: "write the process's pid to `FILE`", Destination: &opts.PIDFile},
			&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return as soon as the processes run", Destination: &opts.Detach},
			&urfave.BoolFlag{Name: "no-subreaper", Usage: "don't adopt the container's orphaned processes", Destination: &opts.NoSubreaper},
			&urfave.BoolFlag{Name: "no-pivot", Usage: "the container was made so: for a root filesystem on ramfs", Destination: &opts.NoPivot},
			&urfave.StringFlag{Name: "lsm-profile", Usage: "give the processes another label: `TYPE:NAME`, with apparmor or selinux as the type", Destination: &opts.LSMProfile},
			&urfave.StringFlag{Name: "lsm-mount-context", Usage: "mount with the SELinux label `LABEL` instead of the checkpoint's", Destination: &opts.LSMMountContext}),
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err == nil {
				a.code, err = rt.Restore(args[0], &opts)
			}
			if err != nil {
				return fmt.Errorf("davit restore failed: %w", err)
			}
			return nil
		}),
	}
}
