// davit is a low-level OCI runtime for Linux: it makes, runs and removes
// containers from bundles, for engines and by hand.
package main

import (
	"math"
	"os"

	"golang.org/x/sys/unix"

	"davit/cli"
)

func main() {
	// Engines leave descriptors open that are nobody's business: not a hook's, and a container's only if it is asked for.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11; what davit starts is given its descriptors one by one
	os.Exit(cli.Main(os.Args, os.Stdout, os.Stderr))
}
