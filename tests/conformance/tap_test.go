package conformance

import (
	"fmt"
	"regexp"
	"strings"
)

// report is what a validation program said: its points, in the Test Anything Protocol.
type report struct {
	passed, skipped int
	failed          []string // descriptions, or what the program died of
}

var (
	point    = regexp.MustCompile(`^(not )?ok\b *\d* *(?:- )?(.*)$`)
	ownError = regexp.MustCompile(`^    "error": "(.+)",?$`)
)

// parse reads what a program wrote. Some programs have no points but a diagnostic
// with an error at the end; others only an exit status and a line on stderr.
func parse(stdout, stderr string, exit error) *report {
	r := &report{}
	loose := ""
	for line := range strings.Lines(stdout) {
		line = strings.TrimRight(line, "\n")
		if m := point.FindStringSubmatch(line); m != nil {
			switch {
			case m[1] != "" && strings.HasSuffix(m[2], "exit status 1"): // davit's; it wrote why
				r.failed = append(r.failed, m[2]+": "+line1(stderr))
			case m[1] != "":
				r.failed = append(r.failed, m[2])
			case strings.Contains(m[2], "# SKIP"):
				r.skipped++
			default:
				r.passed++
			}
		} else if m := ownError.FindStringSubmatch(line); m != nil && r.passed+r.skipped+len(r.failed) == 0 {
			loose = m[1]
		}
	}
	if r.passed+r.skipped+len(r.failed) == 0 {
		switch {
		case exit != nil:
		case loose != "":
			r.failed = append(r.failed, loose)
		default:
			r.passed = 1 // nothing to say is what such a program says when all is well
		}
	}
	if exit != nil {
		r.failed = append(r.failed, fmt.Sprintf("%v: %s", exit, line1(stderr)))
	}
	return r
}

func line1(text string) string { return strings.Join(strings.Fields(text), " ") }
