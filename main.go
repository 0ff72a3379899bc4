// davit is a low-level OCI runtime for Linux: it makes, runs and removes
// containers from bundles, for engines and by hand.
package main

import (
	"os"

	"davit/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr))
}
