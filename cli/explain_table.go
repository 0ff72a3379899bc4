package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxField is the widest field that others line up with.
const maxField = 34

// narrow is the width below which a terminal has no column for fields.
const narrow = 120

// printSteps prints a table with a heading for each phase. On a terminal the
// arguments are wrapped; elsewhere each instruction is a line.
func printSteps(w io.Writer, steps []step) error {
	t := &stepTable{palette: colours(w), columns: width(w)}
	for _, s := range steps {
		t.word = max(t.word, len(s.instr.Op.Word()))
		if n := columnsOf(s.instr.Field); n <= maxField && (t.columns == 0 || t.columns >= narrow) {
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

func columnsOf(s string) int { return utf8.RuneCountInString(string(appendVisible(nil, s))) }

// stepTable lays steps out: number, instruction, field, arguments; in a narrow
// terminal the field comes last.
type stepTable struct {
	strings.Builder
	palette
	columns int // of the terminal, 0 for none
	word    int // width of the column of instructions
	field   int // width of the column of fields, 0 for none
	indent  int // where a row's text begins
	at      int // the column that the row has come to
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
	field := string(appendVisible(nil, s.instr.Field))
	fmt.Fprintf(t, "%3d  %s%s%s", s.index, t.accent, s.instr.Op.Word(), t.reset)
	t.indent, t.at = 3+2+t.word+2, 3+2+len(s.instr.Op.Word())
	if t.field > 0 {
		if field != "" {
			t.put(t.dim, field)
		}
		t.indent += t.field + 2
	}
	for _, a := range s.args {
		t.put("", a.name+"="+a.text)
	}
	if t.field == 0 && field != "" {
		t.put(t.dim, "<- "+field)
	}
	t.WriteByte('\n')
}

// put appends text to the row, or begins another line of it where the terminal ends.
func (t *stepTable) put(colour, text string) {
	n := utf8.RuneCountInString(text)
	gap := max(2, t.indent-t.at)
	if t.columns > 0 && t.at > t.indent && t.at+gap+n > t.columns {
		t.WriteByte('\n')
		gap, t.at = t.indent, 0
	}
	fmt.Fprintf(t, "%*s", gap, "")
	if colour != "" {
		text = colour + text + t.reset
	}
	t.WriteString(text)
	t.at += gap + n
}
