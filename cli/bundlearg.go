package cli

import (
	"errors"

	urfave "github.com/urfave/cli/v3"
)

func bundleFlag(dir *string) urfave.Flag {
	return &urfave.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "the bundle is in `DIR` (default the working directory)", Destination: dir}
}

// bundleArg is the bundle of a command that takes it as its argument, or by the
// flag that create has for it.
func bundleArg(args []string, flag string) (string, error) {
	switch {
	case len(args) == 1 && flag != "":
		return "", errors.New("the bundle is given twice, by --bundle and as an argument")
	case len(args) == 1:
		return args[0], nil
	case flag != "":
		return flag, nil
	}
	return ".", nil
}
