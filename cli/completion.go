package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v3"
)

func completionCommand(a *app) *urfave.Command {
	return &urfave.Command{
		ArgsUsage: "bash|zsh|fish",
		Description: `Prints a script that teaches a shell to complete davit's command line: commands, flags and their values, and the ids of containers, for which the script calls "davit list".

EXAMPLES
# For this shell.
source <(davit completion bash)

# For good.
davit completion bash > /usr/share/bash-completion/completions/davit
davit completion zsh > /usr/share/zsh/vendor-completions/_davit
davit completion fish > /usr/share/fish/vendor_completions.d/davit.fish`,
		Action: a.action(1, 1, func(args []string) error {
			write := map[string]func(*shape) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[args[0]]
			if write == nil {
				return fmt.Errorf("no completion for the shell %q: choose bash, zsh or fish", args[0])
			}
			_, err := io.WriteString(a.stdout, write(shapeOf(a)))
			return err
		}),
	}
}

// shape is what can be typed.
type shape struct {
	global   []flagShape
	commands []commandShape
}

type commandShape struct {
	name, summary string
	flags         []flagShape
	args          []string // kinds of the arguments
	repeats       bool     // the last kind is that of all that follow
	stops         bool     // behind the first argument everything belongs to another program
}

type flagShape struct {
	long, short, summary string
	value                string   // the value's name, "" for a switch
	kind                 string   // of the value
	choices              []string // if the kind is kindChoice
	many                 bool     // may be repeated
}

// Kinds of values and arguments.
const (
	kindOther     = ""
	kindChoice    = "choice"
	kindFile      = "file"
	kindDir       = "dir"
	kindContainer = "container"
	kindSignal    = "signal"
	kindCommand   = "command"
	kindShell     = "shell"
)

// shapeOf reads the shape off the commands themselves.
func shapeOf(a *app) *shape {
	s := &shape{global: flagShapes(a.global.flags())}
	for _, e := range commands() {
		cmd := a.build(e)
		c := commandShape{name: e.name, summary: e.summary, flags: flagShapes(cmd.VisibleFlags()), stops: cmd.StopOnNthArg != nil}
		for i, word := range strings.Fields(cmd.ArgsUsage) {
			word, c.repeats = strings.CutSuffix(strings.Trim(word, "[]"), "...")
			c.args = append(c.args, argumentKind(word, i))
		}
		s.commands = append(s.commands, c)
	}
	return s
}

func argumentKind(word string, position int) string {
	switch word {
	case "ID":
		return kindContainer
	case "SIGNAL":
		return kindSignal
	case "BUNDLE":
		return kindDir
	case "bash|zsh|fish":
		return kindShell
	case "COMMAND":
		if position == 0 { // otherwise it is one in the container
			return kindCommand
		}
	}
	return kindOther
}

func flagShapes(flags []urfave.Flag) (shapes []flagShape) {
	for _, f := range flags {
		doc, ok := f.(urfave.DocGenerationFlag)
		if !ok || slices.Contains(f.Names(), "help") {
			continue
		}
		s := flagShape{long: f.Names()[0]}
		for _, n := range f.Names() {
			if len(n) == 1 {
				s.short = n
			}
		}
		s.value, s.summary = unquote(doc.GetUsage())
		switch {
		case strings.Contains(s.value, "|"):
			s.kind, s.choices = kindChoice, strings.Split(s.value, "|")
		case s.value == "FILE" || s.value == "PATH":
			s.kind = kindFile
		case s.value == "DIR":
			s.kind = kindDir
		}
		_, s.many = f.(*urfave.StringSliceFlag)
		shapes = append(shapes, s)
	}
	return append(shapes, flagShape{long: "help", short: "h", summary: "show help"})
}

// overrides tells whether a command has a flag of its own of this name.
func (c *commandShape) overrides(global *flagShape) bool {
	return slices.ContainsFunc(c.flags, func(f flagShape) bool { return f.long == global.long })
}

// words are the spellings of a flag.
func (f *flagShape) words() []string {
	if f.short != "" {
		return []string{"-" + f.short, "--" + f.long}
	}
	return []string{"--" + f.long}
}

// commonSignals are those that people send to containers.
func commonSignals() []string {
	return []string{"TERM", "KILL", "HUP", "INT", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH"}
}

func shells() []string { return []string{"bash", "zsh", "fish"} }

func (s *shape) commandNames() (names []string) {
	for i := range s.commands {
		names = append(names, s.commands[i].name)
	}
	return names
}
