package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// page is the table of all programs, with the explanations below.
func page(s *suite, reports []*report) []byte {
	var rows, notes bytes.Buffer
	var numbers []int // of the explanations, as they come
	sum := make(map[string]int)
	for i, p := range s.programs {
		r := reports[i]
		if r == nil {
			sum["skipped"]++
			fmt.Fprintf(&rows, "| %s | | | | skipped: it reads cgroup v1 hierarchies |\n", p)
			continue
		}
		outcome := "passes"
		var why []string
		for _, f := range r.failed {
			n, _ := explain(p, f)
			if !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
			if note := fmt.Sprintf("%s [%d]", explanations[n].kind, slices.Index(numbers, n)+1); !slices.Contains(why, note) {
				why = append(why, note)
			}
		}
		if len(why) > 0 {
			outcome = strings.Join(why, ", ")
			sum["explained"]++
		} else {
			sum["pass"]++
		}
		fmt.Fprintf(&rows, "| %s | %d | %d | %d | %s |\n", p, r.passed, len(r.failed), r.skipped, outcome)
	}
	for i, n := range numbers {
		e := explanations[n]
		fmt.Fprintf(&notes, "\n[%d] (%s) %s\n", i+1, e.kind, e.why)
		if e.sentence != "" {
			fmt.Fprintf(&notes, "%s: “%s”\n", e.file, quote(e.sentence))
		}
	}
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	return fmt.Appendf(nil, `# Conformance
`+"`make conformance-test`"+` writes this page: the validation programs of %s %s against davit, on Linux %s.
%d programs pass, %d have failing points that are all explained below, %d were skipped. A failure without an explanation fails the test, and
so does an explanation of which the case passes.

- *suite*: the case contradicts the sentence of the specification that is quoted, or is broken otherwise.
- *host*: the machine of this run lacks what the case needs.
- *departure*: davit does otherwise, deliberately.

| program | points passed | failed | skipped by it | outcome |
|---|---|---|---|---|
%s
## Why
%s`, module, s.version, unix.ByteSliceToString(uts.Release[:]), sum["pass"], sum["explained"], sum["skipped"], rows.String(), notes.String())
}

// quote takes the marks of a list and of links from a sentence.
func quote(sentence string) string {
	var b strings.Builder
	for text := strings.Join(strings.Fields(strings.TrimLeft(sentence, " *")), " "); text != ""; {
		before, rest, found := strings.Cut(text, "](")
		b.WriteString(strings.Replace(before, "[", "", 1))
		if !found {
			break
		}
		_, text, _ = strings.Cut(rest, ")")
	}
	return strings.ReplaceAll(b.String(), "**", "")
}
