package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v3"
)

const gettingStarted = `mkdir -p hello/rootfs/bin && cd hello
cp /bin/busybox rootfs/bin/sh    # a static one: Debian's package is busybox-static
davit spec                       # writes config.json, with a shell as the process
davit run first                  # you are in the container; "exit" leaves and removes it
davit explain                    # what that did, system call by system call`

func helpCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "[COMMAND]",
		Description: `Explains a command, as its --help does, or gives an overview of all.

EXAMPLES
davit help
davit help create`,
		Action: func(_ context.Context, cmd *urfave.Command) error {
			topic := cmd.Root()
			if command := cmd.Args().First(); command != "" {
				// Its name is among the arguments, so it is constructed.
				if topic = topic.Command(command); topic == nil {
					return unknownCommand(command)
				}
			}
			printHelp(a.stdout, "", topic)
			return nil
		},
	}
}

// examplesMark is the line that divides a description from its examples.
const examplesMark = "\n\nEXAMPLES\n"

// printHelp prints the help of a command, or of davit as a whole. Its signature is urfave's.
func printHelp(w io.Writer, _ string, data any) {
	cmd, ok := data.(*urfave.Command)
	if !ok {
		return
	}
	columns := width(w)
	if columns == 0 || columns > 100 {
		columns = 100
	}
	h := &helpPrinter{palette: colours(w), columns: max(columns, 40)}
	if cmd.Root() == cmd {
		h.overview(cmd)
	} else {
		h.command(cmd)
	}
	_, _ = io.WriteString(w, h.String())
}

// helpPrinter lays help out.
type helpPrinter struct {
	strings.Builder
	palette
	columns int
}

func (h *helpPrinter) overview(root *urfave.Command) {
	h.paragraph("davit runs containers from bundles on disk, as the OCI runtime specification says and with runc's command line.")
	h.usage(root)
	group := ""
	for _, e := range commands() {
		if e.group != group {
			group = e.group
			h.heading(group)
		}
		h.item(e.name, 14, e.summary)
	}
	h.heading("Getting started (as root)")
	h.block(gettingStarted)
	h.options("Global options", root.VisibleFlags())
	h.WriteString("\n'davit help COMMAND' explains a command, with examples.\n")
}

func (h *helpPrinter) command(cmd *urfave.Command) {
	h.paragraph(cmd.FullName() + ": " + cmd.Usage)
	h.usage(cmd)
	description, examples, _ := strings.Cut(cmd.Description, examplesMark)
	for p := range strings.SplitSeq(description, "\n\n") {
		h.WriteByte('\n')
		h.paragraph(p)
	}
	h.options("Options", cmd.VisibleFlags())
	h.heading("Examples")
	h.block(examples)
	h.WriteString("\n'davit --help' lists the global options.\n")
}

func (h *helpPrinter) usage(cmd *urfave.Command) {
	fmt.Fprintf(h, "\n%sUsage:%s %s\n", h.bold, h.reset, synopsis(cmd))
}

const rootSynopsis = name + " [global options] COMMAND [options] [arguments]"

// synopsis is how a command is invoked.
func synopsis(cmd *urfave.Command) string {
	if cmd.Root() == cmd {
		return rootSynopsis
	}
	s := cmd.FullName()
	if len(cmd.VisibleFlags()) > 1 { // --help is one
		s += " [options]"
	}
	if cmd.ArgsUsage != "" {
		s += " " + cmd.ArgsUsage
	}
	return s
}

func (h *helpPrinter) heading(text string) {
	fmt.Fprintf(h, "\n%s%s:%s\n", h.bold, text, h.reset)
}

func (h *helpPrinter) paragraph(text string) {
	h.WriteString(strings.Join(wrap(text, h.columns), "\n"))
	h.WriteByte('\n')
}

// block is text to be typed: it is indented, never wrapped.
func (h *helpPrinter) block(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		command, comment, ok := strings.Cut(line, "# ")
		switch {
		case line == "":
		case ok:
			fmt.Fprintf(h, "  %s%s# %s%s", command, h.dim, comment, h.reset)
		default:
			h.WriteString("  " + line)
		}
		h.WriteByte('\n')
	}
}

func (h *helpPrinter) options(title string, flags []urfave.Flag) {
	if len(flags) == 0 {
		return
	}
	h.heading(title)
	for _, f := range flags {
		doc, ok := f.(urfave.DocGenerationFlag)
		if !ok {
			continue
		}
		placeholder, usage := unquote(doc.GetUsage())
		h.item(flagForms(f.Names(), placeholder), 26, usage)
	}
}

// flagForms shows how a flag is written: the short name first.
func flagForms(names []string, placeholder string) string {
	s := "    "
	for _, n := range names {
		if len(n) == 1 {
			s = dashed(n) + ", "
		}
	}
	s += dashed(names[0])
	if placeholder != "" {
		s += " " + placeholder
	}
	return s
}

// unquote finds the word in back quotes, which names a flag's value.
func unquote(usage string) (placeholder, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "", usage
	}
	placeholder, after, _ := strings.Cut(rest, "`")
	return placeholder, before + placeholder + after
}

// item prints a term and, from a column on, what it means.
func (h *helpPrinter) item(term string, column int, meaning string) {
	fmt.Fprintf(h, "  %s%s%s", h.accent, term, h.reset)
	at := 2 + utf8.RuneCountInString(term)
	for i, line := range wrap(meaning, max(h.columns-column, 20)) {
		if i > 0 || at > column-1 {
			h.WriteByte('\n')
			at = 0
		}
		fmt.Fprintf(h, "%*s%s", column-at, "", line)
		at = column
	}
	h.WriteByte('\n')
}

// wrap breaks text into lines of at most so many columns, at blanks.
func wrap(text string, columns int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case length == 0:
			line, length = word, n
		case length+1+n > columns:
			lines = append(lines, line)
			line, length = word, n
		default:
			line, length = line+" "+word, length+1+n
		}
	}
	return append(lines, line)
}
