package cli

import (
	"fmt"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"
)

func killCommand(a *app) *urfave.Command {
	var all bool
	return &urfave.Command{
		ArgsUsage: "ID [SIGNAL]",
		Description: `Sends a signal, SIGTERM unless said otherwise, to the container's process. SIGNAL is a name with or without SIG, or a number.

EXAMPLES
davit kill web
davit kill web KILL
davit kill web SIGHUP
davit kill web 10`,
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "signal all processes in the container", Hidden: true, Destination: &all},
		},
		Action: a.action(1, 2, func(args []string) error {
			sig := unix.SIGTERM
			if len(args) == 2 {
				var err error
				if sig, err = parseSignal(args[1]); err != nil {
					return swapped(args, err)
				}
			}
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return rt.Kill(args[0], sig, all)
		}),
	}
}

// swapped recognises kill(1)'s order of arguments.
func swapped(args []string, err error) error {
	if signal, ok := strings.CutPrefix(args[0], "-"); ok {
		if _, serr := parseSignal(signal); serr == nil {
			return fmt.Errorf("the signal comes after the container: davit kill %s %s", args[1], signal)
		}
	}
	return err
}

// The real-time signals of the C libraries: glibc and musl keep 32 and 33, and musl 34, to themselves (signal(7)).
const (
	rtMin     = 34
	rtMax     = 64
	maxSignal = 64
)

// parseSignal understands what runc does, numbers and names, and real-time signals by name.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		switch {
		case n < 0 && n >= -maxSignal:
			return 0, fmt.Errorf("unknown signal %q: signals have no minus sign here, try %d", s, -n)
		case n < 0 || n > maxSignal:
			return 0, fmt.Errorf("unknown signal %q: numbers go from 1 to %d", s, maxSignal)
		}
		return unix.Signal(n), nil
	}
	upper := strings.ToUpper(s)
	upper = "SIG" + strings.TrimPrefix(upper, "SIG")
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	if n, ok := realTime(strings.TrimPrefix(upper, "SIG")); ok {
		return unix.Signal(n), nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

// realTime reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func realTime(s string) (int, bool) {
	n := 0
	if rest, ok := strings.CutPrefix(s, "RTMIN"); ok {
		s, n = rest, rtMin
	} else if rest, ok := strings.CutPrefix(s, "RTMAX"); ok {
		s, n = rest, rtMax
	}
	if n == 0 || s == "" {
		return n, n != 0
	}
	if (n == rtMin) != (s[0] == '+') || (n == rtMax) != (s[0] == '-') {
		return 0, false
	}
	offset, err := strconv.Atoi(s)
	n += offset
	return n, err == nil && rtMin <= n && n <= rtMax
}
