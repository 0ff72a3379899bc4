package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Documents returns the files that packages install beside davit, by their
// names: manual pages, such as davit-run.1, and the shells' completions. They
// are made from the commands themselves.
func Documents() (manual, completions map[string]string) {
	a := &app{}
	s := shapeOf(a)
	manual = map[string]string{name + ".1": mainPage(a, s)}
	for i := range s.commands {
		manual[name+"-"+s.commands[i].name+".1"] = commandPage(a, &s.commands[i])
	}
	return manual, map[string]string{name + ".bash": bashCompletion(s), "_" + name: zshCompletion(s), name + ".fish": fishCompletion(s)}
}

// pageDate is when the pages were last made anew as a whole; man(7) wants one.
const pageDate = "2026-11-21"

// page writes a manual page with the macros of man(7).
type page struct {
	strings.Builder
	words []string // set in italics: what the reader replaces
}

func newPage(title string) *page {
	p := &page{}
	fmt.Fprintf(p, ".\\\" Made from davit's commands by docs/man/gen; edits are lost.\n.TH %s 1 %s %s \"User Commands\"\n",
		strings.ToUpper(roff(title)), pageDate, name)
	return p
}

func (p *page) section(title string) { fmt.Fprintf(p, ".SH %s\n", title) }

// prose writes paragraphs, separated by empty lines.
func (p *page) prose(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		p.paragraph(paragraph)
	}
}

func (p *page) paragraph(text string) {
	for _, line := range wrap(text, 60) {
		words := strings.Split(line, " ")
		for i := range words {
			words[i] = p.word(words[i])
		}
		p.WriteString(roffLine(strings.Join(words, " ")) + "\n")
	}
}

// word sets flags in bold and what the reader replaces in italics.
func (p *page) word(w string) string {
	core := strings.TrimFunc(w, func(r rune) bool { return r != '-' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	before, after, _ := strings.Cut(w, core)
	switch {
	case core == "":
		return roff(w)
	case len(core) > 1 && core[0] == '-' && (core[1] == '-' || unicode.IsLetter(rune(core[1]))):
		return roff(before) + `\fB` + roff(core) + `\fR` + roff(after)
	case slices.Contains(p.words, core):
		return roff(before) + `\fI` + roff(core) + `\fR` + roff(after)
	}
	return roff(w)
}

// term writes a tagged paragraph; the tag is roff already.
func (p *page) term(tag, meaning string) {
	p.WriteString(".TP\n" + tag + "\n")
	p.paragraph(meaning)
}

func (p *page) flags(flags []flagShape) {
	for i := range flags {
		f := &flags[i]
		tag := `\fB` + roff("--"+f.long) + `\fR`
		if f.short != "" {
			tag = `\fB` + roff("-"+f.short) + `\fR, ` + tag
		}
		if f.value != "" {
			tag += " " + roffValue(f)
			p.words = append(p.words, f.value)
		}
		p.term(tag, sentence(f.summary))
	}
}

// roffValue is a flag's value: words to choose from are bold, a name is in italics.
func roffValue(f *flagShape) string {
	if f.kind == kindChoice {
		return `\fB` + strings.Join(f.choices, `\fR|\fB`) + `\fR`
	}
	return `\fI` + roff(f.value) + `\fR`
}

// examples writes what is to be typed, and the comments before it as prose.
func (p *page) examples(text string) {
	for i, block := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.WriteString(".PP\n")
		}
		for comment, found := strings.CutPrefix(block, "# "); found; comment, found = strings.CutPrefix(block, "# ") {
			comment, block, _ = strings.Cut(comment, "\n")
			p.paragraph(comment)
		}
		p.code(block)
	}
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// code writes text as it is to be typed.
func (p *page) code(text string) {
	p.WriteString(".RS 4\n.nf\n")
	for line := range strings.Lines(text) {
		p.WriteString(roffLine(roff(strings.TrimSuffix(line, "\n"))) + "\n")
	}
	p.WriteString(".fi\n.RE\n")
}

// roff escapes what has a meaning in roff, or would be replaced by another character (groff_char(7)).
func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(s)
}

// roffLine keeps a line of text from being a request, and an empty one from being a paragraph.
func roffLine(s string) string {
	if s == "" || s[0] == '.' || s[0] == '\'' {
		return `\&` + s
	}
	return s
}

func commandPage(a *app, c *commandShape) string {
	entries := commands()
	cmd := a.build(entries[slices.IndexFunc(entries, func(e entry) bool { return e.name == c.name })])
	p := newPage(name + "-" + c.name)
	for _, w := range strings.Fields(cmd.ArgsUsage) {
		p.words = append(p.words, strings.Trim(w, "[]."))
	}
	p.section("NAME")
	p.WriteString(roff(name+"-"+c.name) + ` \- ` + roff(c.summary) + "\n")
	p.section("SYNOPSIS")
	fmt.Fprintf(p, ".B %s %s\n", name, c.name)
	var words []string
	if len(c.flags) > 1 { // --help is one
		words = append(words, `[\fIoptions\fR]`)
	}
	for _, w := range strings.Fields(cmd.ArgsUsage) {
		core := strings.Trim(w, "[].")
		before, after, _ := strings.Cut(w, core)
		words = append(words, before+`\fI`+roff(core)+`\fR`+after)
	}
	if len(words) > 0 {
		p.WriteString(strings.Join(words, " ") + "\n")
	}
	description, examples, _ := strings.Cut(cmd.Description, examplesMark)
	p.section("DESCRIPTION")
	p.prose(description)
	p.section("OPTIONS")
	p.flags(c.flags)
	p.WriteString(".PP\nThe global options are those of\n.BR davit (1).\n")
	p.section("EXAMPLES")
	p.examples(examples)
	p.section("SEE ALSO")
	p.WriteString(".BR davit (1)\n")
	return p.String()
}
