package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
)

// entry is a command before it is constructed.
type entry struct {
	name    string
	group   string // heading in the overview
	summary string // one line, in the overview
	build   func(*app) *urfave.Command
}

// Headings of the overview.
const (
	groupLife   = "The life of a container"
	groupLook   = "Looking at containers"
	groupBundle = "Bundles"
	groupOther  = "About davit"
)

// commands lists all commands in the overview's order.
func commands() []entry {
	return []entry{
		{"run", groupLife, "create and start a container, and wait for its end", runCommand},
		{"create", groupLife, "make a container that waits to be started", createCommand},
		{"start", groupLife, "execute the process of a created container", startCommand},
		{"exec", groupLife, "run another process in a running container", execCommand},
		{"kill", groupLife, "send a signal to a container", killCommand},
		{"pause", groupLife, "stop all processes of a container for a while", pauseCommand},
		{"resume", groupLife, "let the processes of a paused container go on", resumeCommand},
		{"update", groupLife, "change the limits of a container", updateCommand},
		{"checkpoint", groupLife, "write a container to images that it can be restored from", checkpointCommand},
		{"restore", groupLife, "make a container from the images of a checkpoint", restoreCommand},
		{"delete", groupLife, "remove a container and all that belongs to it", deleteCommand},
		{"list", groupLook, "list the containers", listCommand},
		{"state", groupLook, "print the state of a container as JSON", stateCommand},
		{"ps", groupLook, "list the processes in a container", psCommand},
		{"events", groupLook, "report what happens to a container, as JSON", eventsCommand},
		{"stats", groupLook, "show what containers use of CPUs, memory and devices", statsCommand},
		{"spec", groupBundle, "write a config.json to begin with", specCommand},
		{"check", groupBundle, "say about a bundle all that can be said without running it", checkCommand},
		{"explain", groupBundle, "show what creating a container from a bundle would do", explainCommand},
		{"doctor", groupOther, "find out what this host gives to containers", doctorCommand},
		{"features", groupOther, "print what of the specification is implemented, as JSON", featuresCommand},
		{"completion", groupOther, "print a script that completes command lines in a shell", completionCommand},
		{"version", groupOther, "print the version", versionCommand},
		{"help", groupOther, "explain davit or one of its commands", helpCommand},
	}
}

// globals are the flags before the command. They are understood after it, too.
type globals struct {
	debug         bool
	logFile       string
	logFormat     string
	root          string
	systemdCgroup bool
	cgroupManager string
	rootless      string
	version       bool
}

func (g *globals) flags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "root", Usage: "keep the containers' state in `DIR` (default /run/davit, rootless $XDG_RUNTIME_DIR/davit)", Destination: &g.root},
		&urfave.StringFlag{Name: "log", Usage: "append the log to `FILE` instead of stderr", Destination: &g.logFile},
		&urfave.StringFlag{Name: "log-format", Usage: "write the log as `text|json`", Value: "text", Destination: &g.logFormat, Validator: checkLogFormat},
		&urfave.BoolFlag{Name: "debug", Usage: "log what davit does, not only what fails", Destination: &g.debug},
		&urfave.BoolFlag{Name: "systemd-cgroup", Usage: "let systemd make the cgroups; linux.cgroupsPath is then slice:prefix:name", Destination: &g.systemdCgroup},
		&urfave.StringFlag{Name: "cgroup-manager", Usage: "say who makes the cgroups, `cgroupfs|systemd|disabled`: davit (the default), systemd as with --systemd-cgroup, or nobody", Destination: &g.cgroupManager, Validator: checkCgroupManager},
		&urfave.StringFlag{Name: "rootless", Usage: "go on without cgroups that the caller may not make: `true|false|auto`", Value: "auto", Destination: &g.rootless, Validator: checkRootless},
		&urfave.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version", Local: true, Destination: &g.version},
	}
}

// tree constructs the root command, and of the others those whose names occur
// in args: no other one can be meant.
func (a *app) tree(args []string) *urfave.Command {
	root := &urfave.Command{
		Name:            name,
		Usage:           "run containers as the OCI runtime specification says",
		Flags:           a.global.flags(),
		HideHelpCommand: true, // it would take `state help` for a question
		Writer:          a.stdout,
		ErrWriter:       a.stderr,
		OnUsageError:    onUsageError,
		ExitErrHandler:  func(context.Context, *urfave.Command, error) {}, // Main decides
		Action:          a.noCommand,
	}
	for _, e := range commands() {
		if slices.Contains(args[1:], e.name) {
			root.Commands = append(root.Commands, a.build(e))
		}
	}
	urfave.HelpPrinter = printHelp // the hook of urfave's --help
	return root
}

func (a *app) build(e entry) *urfave.Command {
	cmd := e.build(a)
	cmd.Name, cmd.Usage, cmd.Category, cmd.OnUsageError = e.name, e.summary, e.group, onUsageError
	cmd.DisableSliceFlagSeparator = true // a comma belongs to the value, as in --env A=1,2
	// `create ID --help` asks about create; urfave would look for a command ID below it.
	cmd.CommandNotFound = func(_ context.Context, cmd *urfave.Command, _ string) { printHelp(a.stdout, "", cmd) }
	return cmd
}

// noCommand is what davit does when no command is invoked.
func (a *app) noCommand(_ context.Context, cmd *urfave.Command) error {
	switch command := cmd.Args().First(); {
	case a.global.version:
		return a.printVersion()
	case command != "":
		return unknownCommand(command)
	}
	printHelp(a.stdout, "", cmd)
	return nil
}

func unknownCommand(command string) error {
	names := make([]string, 0, 16)
	for _, e := range commands() {
		names = append(names, e.name)
	}
	return &usageError{text: fmt.Sprintf("unknown command %q%s", command, didYouMean(command, names)), usage: rootSynopsis, topic: name + " --help"}
}

func checkLogFormat(s string) error {
	if s != "text" && s != "json" {
		return errors.New("choose text or json")
	}
	return nil
}

func checkCgroupManager(s string) error {
	if s != "cgroupfs" && s != "systemd" && s != "disabled" {
		return errors.New("choose cgroupfs, systemd or disabled")
	}
	return nil
}

// cgroups decides who makes cgroups: runc's flag and crun's speak of the same.
func (g *globals) cgroups() (libcontainer.Options, error) {
	if g.systemdCgroup && g.cgroupManager != "" && g.cgroupManager != "systemd" {
		return libcontainer.Options{}, &usageError{text: "--systemd-cgroup contradicts --cgroup-manager " + g.cgroupManager, usage: rootSynopsis, topic: name + " --help"}
	}
	return libcontainer.Options{SystemdCgroup: g.systemdCgroup || g.cgroupManager == "systemd", NoCgroups: g.cgroupManager == "disabled"}, nil
}

func checkRootless(s string) error {
	if _, err := strconv.ParseBool(s); err != nil && s != "auto" {
		return errors.New("choose true, false or auto")
	}
	return nil
}
