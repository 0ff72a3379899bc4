// Package dockercli has the scenarios of docker's command line, each written
// once for all engines that speak it.
//
// Every scenario runs for every engine. What engines do differently is data of
// a [Dialect]: words of theirs, exit statuses, flags that they need. What an
// engine hasn't got at all stands there as well, with the reason, and is
// skipped with it. What only one engine has is in the package of its tests.
package dockercli

import (
	"slices"
	"strings"

	"davit/tests/engines/lab"
)

// Image is the one that scenarios run: lab's rootfs with sh as its command.
const Image = "davit.test/busybox:latest"

// Dialect is how an engine speaks docker's command line.
type Dialect struct {
	Client func(runtime string) []string      // the command line up to the verb
	Making func(c C, flags []string) []string // flags that create and run need besides a scenario's own
	Remove []string                           // the verb and flags that end and remove a container at once
	Build  func(runtime string) []string      // the command line up to the flags of a build, or nothing if it can't take this runtime

	Rootless bool   // an ordinary user calls
	Parent   string // the cgroup below which the caller may make some
	Uncaged  string // why the engine doesn't use the cgroups that it sees, or nothing

	Lacks   map[string]string // scenario → why the engine can't be asked for it
	Excuses map[string]string // scenario → why this machine may refuse it to every runtime, with this engine; see [lab.Scenario]

	Refused      int    // exit status of run where the runtime refuses
	ExecMissing  int    // exit status of exec for a program that is not there
	AttachStatus bool   // attach ends with the container's status
	TellsOOM     bool   // inspect says OOMKilled; Podman's conmon misses it with runc as well
	Timers       bool   // health checks come by themselves
	Resolves     bool   // containers on a network know each other's names
	WritableTmp  bool   // with --read-only, too
	Init         string // the program that --init puts before the container's own
	Capabilities uint64 // by default
	Unmask       string // what --security-opt takes to show all of /proc and /sys
	PidsLimit    string // by default
	MemoryOf64m  string // in stats
	PidsColumn   string // of stats
	BuildFailed  string // what a build says of a command that ended with status 33
}

// C is a scenario that runs on a command line.
type C struct {
	*lab.S
	*Dialect
	Image string
}

// Line makes a command line of the engine.
func (c C) Line(args ...string) []string { return append(c.Client(c.Runtime), args...) }

// Do runs a command of the engine that has to succeed, and returns its output.
func (c C) Do(args ...string) string { return c.Must(c.Line(args...)...) }

// Make makes a command line of create or run, with flags that end with "--"
// before the container's command.
func (c C) Make(verb, name string, args ...string) []string {
	flags, command := split(args)
	line := append(c.Line(verb, "--name", name), c.Making(c, flags)...)
	line = append(line, flags...)
	if !slices.Contains(flags, "--rootfs") { // which takes a directory instead
		line = append(line, c.Image)
	}
	return append(line, command...)
}

// RunLine makes a command line of run for the scenario's own container.
func (c C) RunLine(args ...string) []string { return c.Make("run", c.ID, args...) }

// Out runs a container to its end, which has to be a good one, and returns its output.
func (c C) Out(args ...string) string { return c.End(0, args...).Out() }

// End runs a container to its end, which has to be with this status.
func (c C) End(status int, args ...string) lab.Output {
	return c.Want(status, c.RunLine(with("--rm", args)...)...)
}

// Other runs one more container to its end, and returns its output.
func (c C) Other(args ...string) string {
	return c.Must(c.Make("run", c.ID+"-other", with("--rm", args)...)...)
}

// Start starts a container that the scenario's end removes. Its command is to
// sleep, if none is given.
func (c C) Start(args ...string) { c.StartAs(c.ID, args...) }

// StartAs is Start for a container of another name.
func (c C) StartAs(name string, args ...string) {
	flags, command := split(args)
	if len(command) == 0 {
		args = append(append(slices.Clone(flags), "--"), "sleep", "1000")
	}
	c.Cleanup(func() { c.Do(append(slices.Clone(c.Remove), name)...) })
	c.Must(c.Make("run", name, with("-d", args)...)...)
}

// Inspect shows something of the container, by a template.
func (c C) Inspect(format string) string { return c.Do("inspect", "--format", format, c.ID) }

// Status is what the engine calls the container's: running, exited.
func (c C) Status() string { return c.Inspect("{{.State.Status}}") }

// Exec runs a command in the container that has to succeed.
func (c C) Exec(args ...string) string { return c.Must(c.ExecLine(args...)...) }

// ExecLine makes a command line of exec in the scenario's container.
func (c C) ExecLine(args ...string) []string {
	flags, command := split(args)
	return append(append(append(c.Line("exec"), flags...), c.ID), command...)
}

// Made tells whether a file is there in the container.
func (c C) Made(file string) bool {
	return c.Run(c.ExecLine("test", "-e", file)...).Code == 0
}

// NeedsCgroups skips the scenario where the engine uses none.
func (c C) NeedsCgroups() {
	if c.Uncaged != "" {
		c.Skipf("%s", c.Uncaged)
	}
}

// Needs skips the scenario where the engine can't use a controller.
func (c C) Needs(controller string) {
	c.NeedsCgroups()
	c.S.Needs(controller)
}

// Limit reads what's in force for the scenario's container.
func (c C) Limit(l lab.Limit) string {
	c.NeedsCgroups()
	return c.S.Limit(c.Inspect("{{.State.Pid}}"), l)
}

// with puts a flag before others.
func with(flag string, args []string) []string {
	flags, command := split(args)
	return append(append(append([]string{flag}, flags...), "--"), command...)
}

// split parts flags from a command: at "--", or by what the first one looks like.
func split(args []string) (flags, command []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:]
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		return args, nil
	}
	return nil, args
}
