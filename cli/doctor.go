package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer/doctor"
)

func doctorCommand(a *app) *urfave.Command {
	var format string
	return &urfave.Command{
		Description: `Finds out what this host, and whoever invokes davit, gives to containers: kernel, namespaces, filesystems, control groups, seccomp, security modules, user namespaces and tools. Things are tried, not concluded from versions, and nothing is changed. Each line is a finding: "ok"; "note"; "missing", with what it costs, that is, the fields of config.json that don't work; or "fatal", if no container does. What mends it comes behind "try:".

The exit code is 0 if containers can run, 1 if they can't at all.

EXAMPLES
davit doctor
davit doctor | grep -v ^ok
davit doctor --format json | jq -r '.findings[] | select(.status == "missing").remedy'`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `text|json`", Value: "text", Destination: &format},
		},
		Action: a.action(0, 0, func([]string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("invalid format option %q: choose text or json", format)
			}
			root := a.global.root
			if root == "" {
				root = caller().stateRoot()
			}
			findings := doctor.Examine(doctor.Options{StateRoot: root})
			if !doctor.Usable(findings) {
				a.code = 1
			}
			if format == "json" {
				return printFindingsJSON(a.stdout, findings)
			}
			return printFindings(a.stdout, findings)
		}),
	}
}

func printFindingsJSON(w io.Writer, findings []doctor.Finding) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Usable   bool             `json:"usable"`
		Findings []doctor.Finding `json:"findings"`
	}{doctor.Usable(findings), findings})
}

// printFindings prints one line a finding, and what they come to.
func printFindings(w io.Writer, findings []doctor.Finding) error {
	p := colours(w)
	var b strings.Builder
	count := make(map[doctor.Status]int)
	for _, f := range findings {
		count[f.Status]++
		fmt.Fprintf(&b, "%s%-7s%s  %s: %s", statusColour(&p, f.Status), f.Status, p.reset, f.Area, f.Name)
		for _, part := range [...]struct{ label, text string }{{": ", f.Detail}, {"; costs: ", f.Cost}, {"; try: ", f.Remedy}} {
			if part.text != "" {
				b.WriteString(part.label)
				b.Write(appendVisible(nil, part.text))
			}
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	switch {
	case count[doctor.Fatal] > 0:
		fmt.Fprintf(&b, "%sNo container can run here%s: see what is fatal.\n", p.bold, p.reset)
	case count[doctor.Missing] > 0:
		fmt.Fprintf(&b, "%sContainers can run here%s, but for configurations that need one of %d things that are missing.\n", p.bold, p.reset, count[doctor.Missing])
	default:
		fmt.Fprintf(&b, "%sContainers can run here%s, with everything that davit knows.\n", p.bold, p.reset)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func statusColour(p *palette, s doctor.Status) string {
	switch s {
	case doctor.OK:
		return p.good
	case doctor.Missing:
		return p.doubtful
	case doctor.Fatal:
		return p.bad
	}
	return p.dim
}
