package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxField is the widest field that others line up with.
const maxField = 34

// printSteps prints a table with a heading for each phase. On a terminal the
// arguments are wrapped; elsewhere each instruction is a line.
func printSteps(w io.Writer, steps []step) error {
	t := &stepTable{palette: colours(w), columns: width(w)}
	for _, s := range steps {
		t.word = max(t.word, len(s.instr.Op.Word()))
		if n := utf8.RuneCountInString(string(appendVisible(nil, s.instr.Field))); n <= maxField {
			t.field = max(t.field, n)
		}
	}
	phase := ""
	for _, s := range steps {
		if s.phase != phase {
			phase = s.phase
			t.heading(phase)
		}
		t.row(&s)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// stepTable lays steps out: number, instruction, field, arguments.
type stepTable struct {
	strings.Builder
	palette
	columns     int // of the terminal, 0 for none
	word, field int // widths
}

func (t *stepTable) heading(phase string) {
	if t.Len() > 0 {
		t.WriteByte('\n')
	}
	what := ""
	switch phase {
	case phaseEnter:
		what = "into the namespaces"
	case phaseWorld:
		what = "what the process will see"
	case phaseProcess:
		what = "credentials and limits, then the program itself"
	}
	fmt.Fprintf(t, "%s%s%s: %s\n", t.bold, phase, t.reset, what)
}

func (t *stepTable) row(s *step) {
	field, column := string(appendVisible(nil, s.instr.Field)), t.field
	if len(s.args) == 0 {
		column = 0
	}
	fmt.Fprintf(t, "%3d  %s%-*s%s  %s%-*s%s", s.index, t.accent, t.word, s.instr.Op.Word(), t.reset, t.dim, column, field, t.reset)
	indent := 3 + 2 + t.word + 2 + t.field
	at := indent + max(0, utf8.RuneCountInString(field)-t.field)
	for _, a := range s.args {
		text := a.name + "=" + a.text
		n := utf8.RuneCountInString(text) + 2
		if t.columns > 0 && at > indent && at+n > t.columns {
			fmt.Fprintf(t, "\n%*s", indent, "")
			at = indent
		}
		t.WriteString("  " + text)
		at += n
	}
	t.WriteByte('\n')
}
