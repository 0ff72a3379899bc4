package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
	"davit/libcontainer/bundle"
)

// execFailed is the exit code of an exec that didn't come to its process.
const execFailed = 255

// execFlags are what exec changes about the container's own process.
type execFlags struct {
	file                       string // a whole process instead
	cwd, user, apparmor, label string
	env, caps, gids            []string
	terminal, noNewPrivs       bool
}

func execCommand(a *app) *urfave.Command {
	var opts libcontainer.ExecOptions
	var f execFlags
	stop := 1
	return &urfave.Command{
		ArgsUsage:    "ID COMMAND [ARGUMENT...]",
		StopOnNthArg: &stop, // what is behind the ID is the process's
		Description: `Runs another process in the running container ID: as the container's own is configured, but for what the flags say, or as a file with a process object (--process) says. davit exits with the process's status, or 255 if it couldn't be run.

EXAMPLES
# A shell in the container, on this terminal.
davit exec --tty web sh

# As another user, with one variable more.
davit exec --user 33:33 --env DEBUG=1 web id

# As engines do it.
davit exec --process process.json --detach --pid-file pid web`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "console-socket", Usage: "send the terminal's master to the UNIX socket `PATH`", Destination: &opts.ConsoleSocket},
			&urfave.StringFlag{Name: "cwd", Usage: "run in `DIR` of the container", Destination: &f.cwd},
			&urfave.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE` in the environment", Destination: &f.env},
			&urfave.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "allocate a terminal", Destination: &f.terminal},
			&urfave.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "run as `UID[:GID]`", Destination: &f.user},
			&urfave.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "add the group `GID`", Destination: &f.gids},
			&urfave.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "take the process from the JSON `FILE`", Destination: &f.file},
			&urfave.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return as soon as the process runs", Destination: &opts.Detach},
			&urfave.StringFlag{Name: "create", Usage: "make the process but don't execute it: \"davit start ID `PROCESS`\" does", Destination: &opts.Park},
			&urfave.StringFlag{Name: "pid-file", Usage: "write the process's pid to `FILE`", Destination: &opts.PIDFile},
			&urfave.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to the UNIX socket `PATH`", Destination: &opts.PidfdSocket},
			&urfave.StringFlag{Name: "process-label", Usage: "set the SELinux `LABEL`", Destination: &f.label},
			&urfave.StringFlag{Name: "apparmor", Usage: "confine by the AppArmor `PROFILE`", Destination: &f.apparmor},
			&urfave.BoolFlag{Name: "no-new-privs", Usage: "let no exec add privileges", Destination: &f.noNewPrivs},
			&urfave.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add the `CAPABILITY`, such as CAP_NET_ADMIN", Destination: &f.caps},
			&urfave.IntFlag{Name: "preserve-fds", Usage: "pass `N` more file descriptors on, from 3", Destination: &opts.PreserveFDs, Validator: checkCount},
			&urfave.StringSliceFlag{Name: "cgroup", Usage: "join the sub-cgroup `[CONTROLLER:]PATH`", Destination: &opts.Cgroups},
			&urfave.BoolFlag{Name: "ignore-paused", Usage: "run it even while the container is paused", Destination: &opts.IgnorePaused},
			a.timingsFlag(),
		},
		Action: a.action(1, -1, func(args []string) error {
			opts.Process = func(spec *specs.Spec) (*specs.Process, error) { return f.process(spec, args[1:]) }
			if err := a.exec(args, &f, &opts); err != nil {
				return &codeError{execFailed, fmt.Errorf("exec failed: %w", err)}
			}
			return nil
		}),
	}
}

func (a *app) exec(args []string, f *execFlags, opts *libcontainer.ExecOptions) error {
	if len(args) == 1 && f.file == "" {
		return errors.New("exec args cannot be empty")
	}
	if err := a.checkDescriptors(&opts.ProcessOptions); err != nil {
		return err
	}
	rt, err := a.runtime()
	if err != nil {
		return err
	}
	opts.Stage = a.early
	a.code, err = rt.Exec(args[0], opts)
	return err
}

// process is the container's own process with what the flags change, or the one of the file.
func (f *execFlags) process(spec *specs.Spec, args []string) (*specs.Process, error) {
	if f.file != "" {
		return readProcess(f.file)
	}
	if spec.Process == nil {
		return nil, errors.New("the container has no process to take the settings from: use --process")
	}
	p := *spec.Process
	p.Args = args
	p.Terminal = f.terminal
	p.OOMScoreAdj = nil // inherited, as everything that is not said
	if f.cwd != "" {
		p.Cwd = f.cwd
	}
	if f.apparmor != "" {
		p.ApparmorProfile = f.apparmor
	}
	if f.label != "" {
		p.SelinuxLabel = f.label
	}
	if f.noNewPrivs {
		p.NoNewPrivileges = true
	}
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], f.env...)
	p.Capabilities = withCapabilities(p.Capabilities, f.caps)
	return &p, f.credentials(&p.User)
}

// maxProcess bounds a process object, in bytes.
const maxProcess = 16 << 20

func readProcess(file string) (*specs.Process, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--process: %w", err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxProcess))
	if err != nil {
		return nil, fmt.Errorf("--process: %w", err)
	}
	p, err := bundle.ParseProcess(raw)
	if err != nil {
		return nil, fmt.Errorf("--process %s: %w", file, err)
	}
	return p, nil
}

// withCapabilities adds to the sets that make a process able to do something,
// but not to the inheritable one, which would hand it to every program that
// the process executes (CVE-2022-29162).
func withCapabilities(have *specs.LinuxCapabilities, add []string) *specs.LinuxCapabilities {
	if len(add) == 0 {
		return have
	}
	var c specs.LinuxCapabilities
	if have != nil {
		c = *have
	}
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted} {
		*set = append((*set)[:len(*set):len(*set)], add...)
	}
	return &c
}

// credentials parses user and groups strictly: a name, a sign or a number out of
// range must never turn into uid 0 (CVE-2026-30892).
func (f *execFlags) credentials(u *specs.User) error {
	if f.user != "" {
		uid, gid, hasGID := strings.Cut(f.user, ":")
		n, err := parseID(uid)
		if err != nil {
			return fmt.Errorf("--user: parsing %s as int for uid failed: %w", uid, err)
		}
		u.UID = n
		if hasGID {
			if u.GID, err = parseID(gid); err != nil {
				return fmt.Errorf("--user: parsing %s as int for gid failed: %w", gid, err)
			}
		}
	}
	for _, g := range f.gids {
		n, err := parseID(g)
		if err != nil {
			return fmt.Errorf("--additional-gids: parsing %s as int for gid failed: %w", g, err)
		}
		u.AdditionalGids = append(u.AdditionalGids[:len(u.AdditionalGids):len(u.AdditionalGids)], n)
	}
	return nil
}

// parseID takes a plain decimal number. The highest one means "unchanged" to the kernel (setresuid(2)).
func parseID(s string) (uint32, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("not a number")
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, errors.New("out of range")
	}
	return uint32(n), nil
}
