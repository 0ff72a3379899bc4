package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"
)

// configName is the name of a bundle's configuration (bundle.md).
const configName = "config.json"

func specCommand(a *app) *urfave.Command {
	var bundle string
	var rootless bool
	return &urfave.Command{
		Description: `Writes a config.json to begin with: a shell on a terminal, as root of new namespaces, with few capabilities, in the read-only root filesystem in the directory rootfs. An existing config.json is never overwritten.

With --rootless the container gets a user namespace in which its root is the caller, and whatever takes privilege is left out.

EXAMPLES
# Another program than a shell.
davit spec
jq '.process.args = ["sleep", "60"] | .process.terminal = false' config.json > new && mv new config.json

# As an ordinary user.
davit spec --rootless --bundle ~/web`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "write to the bundle in `DIR` (default the working directory)", Destination: &bundle},
			&urfave.BoolFlag{Name: "rootless", Usage: "for a caller without privilege", Local: true, Destination: &rootless},
		},
		Action: a.action(0, 0, func([]string) error {
			spec := defaultSpec(exists("/proc/self/ns/cgroup"))
			if rootless {
				makeRootless(spec, uint32(unix.Geteuid()), uint32(unix.Getegid()))
			}
			b, err := json.MarshalIndent(spec, "", "\t")
			if err != nil {
				return err
			}
			return writeNew(filepath.Join(bundle, configName), append(b, '\n'))
		}),
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// writeNew writes a file that must not exist yet, nor as a symbolic link.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		//lint:ignore ST1005 callers know runc's words
		return fmt.Errorf("File %s exists. Remove it first", filepath.Base(path))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path)
	}
	return err
}
