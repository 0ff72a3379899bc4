package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"
	urfave "github.com/urfave/cli/v3"

	"davit/seccomp"
)

// Set by the linker (-X); see the Makefile.
var (
	version = ""
	commit  = ""
)

func versionCommand(a *app) *urfave.Command {
	return &urfave.Command{
		Description: `Prints davit's version and commit, the version of the runtime specification that it implements, and those of Go and libseccomp.

EXAMPLES
davit version`,
		Action: a.action(0, 0, func([]string) error { return a.printVersion() }),
	}
}

// printVersion prints what engines parse: the first line by "version ", the others by ": ".
func (a *app) printVersion() error {
	v, c := buildVersion()
	_, err := fmt.Fprintf(a.stdout, "%s version %s\ncommit: %s\nspec: %s\ngo: %s\n", name, v, c, specs.Version, runtime.Version())
	if lib := seccomp.LibraryVersion(); err == nil && lib != "" {
		_, err = fmt.Fprintf(a.stdout, "libseccomp: %s\n", lib)
	}
	return err
}

// buildVersion takes from Go's build information what the linker wasn't told.
func buildVersion() (v, c string) {
	v, c = version, commit
	if v != "" && c != "" {
		return v, c
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && c == "" {
				c = s.Value
			}
		}
	}
	if v == "" {
		v = "dev"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}
