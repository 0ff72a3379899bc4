package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
)

func checkpointCommand(a *app) *urfave.Command {
	var opts libcontainer.CheckpointOptions
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Writes the running container ID to image files, from which "davit restore" makes it again: here or on another machine, as it was, in the middle of what it does. Unless --leave-running says otherwise the container is stopped and removed.

CRIU does it, which has to be installed (criu(8)), and davit has to be run by root.

EXAMPLES
# Stop a container here and let it go on later.
davit checkpoint --image-path /var/lib/ckpt/web web
davit restore --image-path /var/lib/ckpt/web --bundle /srv/web --detach web

# Write most of the memory while the container runs, and the rest in a short stop.
davit checkpoint --pre-dump --image-path ckpt/1 web
davit checkpoint --image-path ckpt/2 --parent-path ../1 web`,
		Flags: append(criuFlags(&opts.CRIUOptions),
			&urfave.StringFlag{Name: "parent-path", Usage: "write only what changed since the dump in `DIR`, relative to the images", Destination: &opts.ParentPath},
			&urfave.BoolFlag{Name: "leave-running", Usage: "let the container go on", Destination: &opts.LeaveRunning},
			&urfave.BoolFlag{Name: "pre-dump", Usage: "write memory only, ahead of a dump, and let the container go on", Destination: &opts.PreDump},
			&urfave.BoolFlag{Name: "tcp-skip-in-flight", Usage: "leave out TCP connections that are just being made", Destination: &opts.TCPSkipInFlight},
			&urfave.BoolFlag{Name: "link-remap", Usage: "give open files without a name one for the time being", Destination: &opts.LinkRemap},
			&urfave.StringFlag{Name: "page-server", Usage: "send memory to the page server at `ADDRESS:PORT`; with --lazy-pages, serve it there", Destination: &opts.PageServer},
			&urfave.IntFlag{Name: "status-fd", Usage: "write a NUL byte to the descriptor `FD` when a lazy dump's page server is ready", Destination: &opts.StatusFD, Validator: checkCount}),
		Action: a.action(1, 1, func(args []string) error {
			rt, err := a.runtime()
			if err == nil {
				err = rt.Checkpoint(args[0], &opts)
			}
			if err != nil {
				return fmt.Errorf("davit checkpoint failed: %w", err)
			}
			return nil
		}),
	}
}

// criuFlags are those of checkpoint and restore.
func criuFlags(o *libcontainer.CRIUOptions) []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "image-path", Usage: "the images are in `DIR` (default ./checkpoint)", Destination: &o.ImagePath},
		&urfave.StringFlag{Name: "work-path", Usage: "CRIU writes its log to `DIR` (default that of the images)", Destination: &o.WorkPath},
		&urfave.BoolFlag{Name: "tcp-established", Usage: "ask CRIU to take TCP connections along, which is not proven to work", Destination: &o.TCPEstablished},
		&urfave.BoolFlag{Name: "ext-unix-sk", Usage: "UNIX sockets may be connected to outside of the container", Destination: &o.ExtUnixSk},
		&urfave.BoolFlag{Name: "shell-job", Usage: "the container's session and terminal are the caller's", Destination: &o.ShellJob},
		&urfave.BoolFlag{Name: "file-locks", Usage: "file locks go along", Destination: &o.FileLocks},
		&urfave.BoolFlag{Name: "auto-dedup", Usage: "drop pages from earlier dumps that this one replaces", Destination: &o.AutoDedup},
		&urfave.BoolFlag{Name: "lazy-pages", Usage: "memory is moved when it is used (userfaultfd(2))", Destination: &o.LazyPages},
		&urfave.StringFlag{Name: "manage-cgroups-mode", Usage: "what CRIU does about cgroups inside the container: `soft|full|strict|ignore`", Value: "soft", Destination: &o.CgroupMode},
		&urfave.StringSliceFlag{Name: "empty-ns", Usage: "leave the content of the container's namespace `NAMESPACE` out: network", Destination: &o.EmptyNS},
	}
}
