package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v3"
)

func psCommand(a *app) *urfave.Command {
	var format string
	stop := 1
	return &urfave.Command{
		ArgsUsage:    "ID [PS-OPTION...]",
		StopOnNthArg: &stop, // what is behind the ID is ps's
		Description: `Lists the processes in the container ID, with their pids as the host has them: as the host's ps(1) shows them, with its options -ef or those given, or as a JSON array of pids.

Options of ps that choose columns have to leave PID among them: by that column davit picks the container's processes.

EXAMPLES
davit ps web
davit ps web -o pid,rss,args
davit ps --format json web | jq length`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `table|json`", Value: "table", Destination: &format},
		},
		Action: a.action(1, -1, func(args []string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("invalid format option %q: choose table or json", format)
			}
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			pids, err := rt.Processes(args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return json.NewEncoder(a.stdout).Encode(pids)
			}
			options := args[1:]
			if len(options) == 0 {
				options = []string{"-ef"}
			}
			table, err := runPS(options)
			if err != nil {
				return err
			}
			return printProcesses(a.stdout, table, pids)
		}),
	}
}

// runPS returns what the host's ps prints.
func runPS(options []string) (string, error) {
	program, err := findPS()
	if err != nil {
		return "", err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	p, err := os.StartProcess(program, append([]string{"ps"}, options...), &os.ProcAttr{Files: []*os.File{null, w, w}})
	w.Close()
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(r)
	end, werr := p.Wait()
	if err = errors.Join(err, werr); err != nil {
		return "", fmt.Errorf("ps: %w", err)
	}
	if !end.Success() {
		return "", fmt.Errorf("ps %s: %s: %s", strings.Join(options, " "), end, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// findPS looks in PATH, and where it usually is: engines call davit without any PATH.
func findPS() (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/bin") {
		program := filepath.Join(dir, "ps")
		if fi, err := os.Stat(program); filepath.IsAbs(dir) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return program, nil
		}
	}
	return "", errors.New("this host has no ps program; use --format json")
}

// printProcesses prints ps's header and, of its other lines, those of the pids.
func printProcesses(w io.Writer, table string, pids []int) error {
	column := -1
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		switch {
		case column < 0:
			// Before the header ps may have complained about an option.
			if column = slices.Index(fields, "PID"); column < 0 {
				continue
			}
		case len(fields) == 0:
			continue
		default:
			if column >= len(fields) {
				return fmt.Errorf("ps printed a line without a pid: %q", line)
			}
			pid, err := strconv.Atoi(fields[column])
			if err != nil {
				return fmt.Errorf("unable to parse pid %q of ps: put the pid before columns with blanks in them, as in -o pid,lstart", fields[column])
			}
			if !slices.Contains(pids, pid) {
				continue
			}
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	if column < 0 {
		return errors.New("couldn't find PID field in ps output: have pid among its columns")
	}
	return nil
}
