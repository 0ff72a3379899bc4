// Command report makes the page of results of what the engines' tests wrote:
// report DIRECTORY >PAGE.
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"davit/tests/engines/lab"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: report DIRECTORY >PAGE")
		os.Exit(2)
	}
	if err := report(os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func report(w io.Writer, dir string) error {
	all, err := read(dir)
	if err != nil {
		return err
	}
	page := "# Engines on davit\n\n" +
		"`make engines-test` writes this page: real engines, from Debian's packages but for containerd 2 and CRI-O, started with davit as their runtime.\n" +
		"A scenario passes only if davit made its containers and no other runtime did, and nothing was left of them. A skip because of\n" +
		"the machine is one that runc shows there as well.\n" +
		"*hybrid*: version 1 hierarchies beside version 2; *v1*: version 1 alone; *v2*: version 2 alone, with the few controllers that version 1 leaves to it.\n"
	page += versions(all.Runs)
	page += timings(all.Timings)
	for _, engine := range inOrder(all.Results, func(r lab.Result) string { return r.Engine }) {
		page += table(engine, all.Results)
	}
	_, err = io.WriteString(w, page)
	return err
}

// read collects what the packages' runs wrote, in an order that doesn't depend
// on which of them ran last.
func read(dir string) (lab.Results, error) {
	var all lab.Results
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return all, err
	}
	for _, f := range files {
		r, err := lab.ReadResults(f)
		if err != nil {
			return all, fmt.Errorf("%s: %w", f, err)
		}
		all.Runs = append(all.Runs, r.Runs...)
		all.Results = append(all.Results, r.Results...)
		all.Timings = append(all.Timings, r.Timings...)
	}
	slices.SortStableFunc(all.Runs, func(a, b lab.Run) int { return compare(a.Engine, b.Engine, a.Cgroups, b.Cgroups) })
	slices.SortStableFunc(all.Results, func(a, b lab.Result) int { return compare(a.Engine, b.Engine, a.Cgroups, b.Cgroups) })
	slices.SortStableFunc(all.Timings, func(a, b lab.Timing) int { return compare(a.Engine, b.Engine, a.Cgroups, b.Cgroups) })
	return all, nil
}

// compare sorts by engine and cgroups; hybrid, v1, v2 happen to be in the order of the alphabet.
func compare(engine, other string, cgroups, others lab.Cgroups) int {
	return cmp.Or(strings.Compare(strings.ToLower(engine), strings.ToLower(other)), strings.Compare(string(cgroups), string(others)))
}

// versions says what was tested, and where a part of the results is of another davit or kernel.
func versions(runs []lab.Run) string {
	var seen []string
	parts := make(map[string][]string)
	for _, r := range runs {
		of := r.Davit + " on Linux " + r.Kernel
		if !slices.Contains(seen, of) {
			seen = append(seen, of)
		}
		parts[of] = append(parts[of], r.Engine+" ("+string(r.Cgroups)+")")
	}
	if len(seen) == 0 {
		return ""
	}
	if len(seen) == 1 {
		return "All by " + seen[0] + ".\n"
	}
	b := "\nNot all by one davit:\n"
	for _, of := range seen {
		b += "- " + of + ": " + strings.Join(parts[of], "; ") + "\n"
	}
	return b
}

// inOrder lists what's new, as it comes.
func inOrder(results []lab.Result, of func(lab.Result) string) []string {
	var seen []string
	for _, r := range results {
		if x := of(r); !slices.Contains(seen, x) {
			seen = append(seen, x)
		}
	}
	return seen
}

func table(engine string, results []lab.Result) string {
	results = slices.DeleteFunc(slices.Clone(results), func(r lab.Result) bool { return r.Engine != engine })
	columns := inOrder(results, func(r lab.Result) string { return string(r.Cgroups) })
	count := make(map[string]int)
	var notes []string
	b := fmt.Sprintf("| scenario | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, scenario := range inOrder(results, func(r lab.Result) string { return r.Scenario }) {
		b += "| " + scenario
		for _, column := range columns {
			cell := ""
			for _, r := range results {
				if r.Scenario != scenario || string(r.Cgroups) != column {
					continue
				}
				count[r.Outcome]++
				cell = r.Outcome
				if r.Reason != "" {
					cell += note(&notes, r.Reason)
				}
			}
			b += " | " + cell
		}
		b += " |\n"
	}
	head := fmt.Sprintf("\n## %s\n%d pass, %d fail, %d skip\n\n", engine, count["pass"], count["fail"], count["skip"])
	return head + b + footnotes(notes)
}

func note(notes *[]string, reason string) string {
	reason = strings.NewReplacer("|", "\\|", "<", "&lt;").Replace(reason)
	i := slices.Index(*notes, reason)
	if i < 0 {
		i = len(*notes)
		*notes = append(*notes, reason)
	}
	return fmt.Sprintf(" [%d]", i+1)
}

func timings(all []lab.Timing) string {
	b := "\n## How long\nMedians in milliseconds, and in brackets the least; the runtimes took turns within one run. *Load* is the machine's meanwhile,\n" +
		"which has to be seen beside its CPUs: a busy machine makes all of them slow.\n\n" +
		"| command | engine | cgroups | load | rounds | davit | runc | crun |\n|---|---|---|---|---|---|---|---|\n"
	var notes []string
	for _, t := range all {
		b += fmt.Sprintf("| `%s` | %s | %s | %s | %d", t.Command, t.Engine, t.Cgroups, t.Load, t.Rounds)
		for _, r := range lab.Runtimes() {
			if ms, ok := t.Median[r]; ok {
				b += fmt.Sprintf(" | %.0f (%.0f)", ms, t.Least[r])
			} else {
				b += " | –" + note(&notes, r+": "+cmp.Or(t.Without[r], "not measured"))
			}
		}
		b += " |\n"
	}
	return b + footnotes(notes)
}

func footnotes(notes []string) string {
	b := ""
	for i, n := range notes {
		b += fmt.Sprintf("\n[%d] %s\n", i+1, n)
	}
	return b
}
