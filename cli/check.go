package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer/inspect"
)

func checkCommand(a *app) *urfave.Command {
	var format, bundle string
	var strict bool
	var opts inspect.Options
	return &urfave.Command{
		ArgsUsage: "[BUNDLE]",
		Description: `Says about a bundle, by default the one in the working directory, all that can be said without running it: what the specification forbids, what this host or its caller can't give, what is missing in the root filesystem or beside it, and what is likely not meant. Nothing is changed, and no privilege is needed.

Each line is a finding: "error", if the container can't be created or started; "warning", if it is less isolated than it looks or likely not what was meant; or "note". Behind it stands the place in config.json, and what to try.

The exit code is 1 if there are errors, and 0 otherwise.

EXAMPLES
davit check
davit check /srv/web
davit check --strict /srv/web || exit 1
davit check --format json /srv/web | jq -r '.findings[] | select(.severity == "error").path'`,
		Flags: []urfave.Flag{
			bundleFlag(&bundle),
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `text|json`", Value: "text", Destination: &format},
			&urfave.BoolFlag{Name: "strict", Usage: "let warnings fail the check, too", Destination: &strict},
			&urfave.BoolFlag{Name: "no-pivot", Usage: "check for a container whose root is moved instead of pivoted", Destination: &opts.NoPivot},
		},
		Action: a.action(0, 1, func(args []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("invalid format option %q: choose text or json", format)
			}
			dir, err := bundleArg(args, bundle)
			if err != nil {
				return err
			}
			if opts.Runtime, err = a.global.cgroups(); err != nil {
				return err
			}
			findings := inspect.Bundle(dir, opts)
			if inspect.Count(findings, inspect.Error) > 0 || strict && inspect.Count(findings, inspect.Warning) > 0 {
				a.code = 1
			}
			if format == "json" {
				return printCheckJSON(a.stdout, findings)
			}
			return printCheck(a.stdout, findings)
		}),
	}
}

func printCheckJSON(w io.Writer, findings []inspect.Finding) error {
	if findings == nil {
		findings = []inspect.Finding{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Errors   int               `json:"errors"`
		Warnings int               `json:"warnings"`
		Findings []inspect.Finding `json:"findings"`
	}{inspect.Count(findings, inspect.Error), inspect.Count(findings, inspect.Warning), findings})
}

// printCheck prints one line a finding, the gravest first, and how many there are.
func printCheck(w io.Writer, findings []inspect.Finding) error {
	p := colours(w)
	var b strings.Builder
	for _, kind := range [...]struct {
		severity inspect.Severity
		colour   string
	}{{inspect.Error, p.bad}, {inspect.Warning, p.doubtful}, {inspect.Note, p.dim}} {
		for _, f := range findings {
			if f.Severity != kind.severity {
				continue
			}
			fmt.Fprintf(&b, "%s%-7s%s  ", kind.colour, f.Severity, p.reset)
			if f.Path != "$" { // the bundle as a whole
				fmt.Fprintf(&b, "%s%s%s: ", p.accent, visible(f.Path), p.reset)
			}
			b.WriteString(visible(f.Message))
			if f.Hint != "" {
				fmt.Fprintf(&b, " (%s)", visible(f.Hint))
			}
			b.WriteByte('\n')
		}
	}
	if len(findings) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s, %s, %s\n", plural(inspect.Count(findings, inspect.Error), "error"), plural(inspect.Count(findings, inspect.Warning), "warning"),
		plural(inspect.Count(findings, inspect.Note), "note"))
	_, err := io.WriteString(w, b.String())
	return err
}

func visible(s string) string { return string(appendVisible(nil, s)) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
