package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
)

func listCommand(a *app) *urfave.Command {
	var format string
	var quiet bool
	return &urfave.Command{
		Description: `Lists the containers in --root.

EXAMPLES
davit list
davit list --format json | jq -r '.[] | select(.status == "running").id'

# Remove all that have stopped.
davit list --quiet | xargs -n1 davit delete`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `table|json`", Value: "table", Destination: &format},
			&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only the ids", Destination: &quiet},
		},
		Action: a.action(0, 0, func([]string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("invalid format option %q: choose table or json", format)
			}
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			all, err := rt.List()
			if err != nil {
				return err
			}
			if quiet {
				return printIDs(a.stdout, all)
			}
			nameOwners(all)
			if format == "json" {
				return json.NewEncoder(a.stdout).Encode(all)
			}
			return printTable(a.stdout, all)
		}),
	}
}

func printIDs(w io.Writer, all []*libcontainer.State) error {
	b := bufio.NewWriter(w)
	for _, s := range all {
		fmt.Fprintln(b, s.ID)
	}
	return b.Flush()
}

// printTable prints the columns that scripts written for runc expect.
func printTable(w io.Writer, all []*libcontainer.State) error {
	b := bufio.NewWriter(w)
	t := tabwriter.NewWriter(b, 12, 1, 3, ' ', 0) // which writes cell by cell
	fmt.Fprint(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range all {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.PID, s.Status, appendVisible(nil, s.Bundle),
			s.Created.Format(time.RFC3339Nano), appendVisible(nil, s.Owner))
	}
	return errors.Join(t.Flush(), b.Flush())
}

// nameOwners fills in the owners' names; #uid for those without.
func nameOwners(all []*libcontainer.State) {
	if len(all) == 0 {
		return
	}
	passwd, _ := os.ReadFile("/etc/passwd") // without it nobody has a name
	for _, s := range all {
		s.Owner = userName(string(passwd), s.OwnerUID)
	}
}

// userName finds a uid in a passwd(5) file.
func userName(passwd string, uid int) string {
	want := strconv.Itoa(uid)
	for line := range strings.Lines(passwd) {
		if f := strings.SplitN(line, ":", 4); len(f) == 4 && f[2] == want && f[0] != "" {
			return f[0]
		}
	}
	return "#" + want
}
