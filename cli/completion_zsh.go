package cli

import (
	"fmt"
	"strings"
)

const zshHead = `#compdef davit
# zsh completion for davit, made by "davit completion zsh"

_davit_containers() {
    local -a ids
    ids=(${(f)"$(_call_program containers davit ${davit_root:+--root} ${davit_root:+${(q)davit_root}} list --quiet 2>/dev/null)"})
    compadd -a "$@" ids
}
`

// zshCompletion writes an autoloaded function for zsh's completion system.
func zshCompletion(s *shape) string {
	var b strings.Builder
	b.WriteString(zshHead)
	b.WriteString("\n_davit_commands() {\n    local -a commands\n    commands=(\n")
	for i := range s.commands {
		c := &s.commands[i]
		fmt.Fprintf(&b, "        %s\n", zshQuote(c.name+":"+strings.ReplaceAll(c.summary, ":", `\:`)))
	}
	b.WriteString("    )\n    _describe -t commands command commands\n}\n")
	b.WriteString("\n_davit() {\n    local context state state_descr line davit_root\n    typeset -A opt_args\n    _arguments -C -A \"-*\" \\\n")
	for i := range s.global {
		zshFlag(&b, &s.global[i])
	}
	b.WriteString("        '1: :_davit_commands' \\\n        '*:: :->command' && return\n")
	b.WriteString("    [[ $state == command ]] || return\n    davit_root=${(Q)opt_args[--root]}\n    case $words[1] in\n")
	for i := range s.commands {
		c := &s.commands[i]
		fmt.Fprintf(&b, "    %s)\n        _arguments", c.name)
		if c.stops {
			b.WriteString(` -A "-*"`)
		}
		b.WriteString(" \\\n")
		for j := range c.flags {
			zshFlag(&b, &c.flags[j])
		}
		zshArguments(&b, c)
		b.WriteString("        ;;\n")
	}
	b.WriteString("    esac\n}\n\n_davit \"$@\"\n")
	return b.String()
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// zshFlag writes a flag as _arguments takes it: (what it excludes)spelling[summary]:value:action.
func zshFlag(b *strings.Builder, f *flagShape) {
	words := f.words()
	rest := "[" + strings.NewReplacer("[", `\[`, "]", `\]`, `\`, `\\`).Replace(f.summary) + "]"
	suffix := ""
	if f.value != "" {
		rest += ":" + strings.ReplaceAll(f.value, ":", `\:`) + ":" + zshAction(f)
		suffix = "="
	}
	for _, w := range words {
		if len(f.value) > 0 && len(w) == 2 {
			w += "+"
		} else {
			w += suffix
		}
		exclusive := "(" + strings.Join(words, " ") + ")"
		if f.many {
			exclusive = "*"
		}
		fmt.Fprintf(b, "        %s \\\n", zshQuote(exclusive+w+rest))
	}
}

func zshAction(f *flagShape) string {
	switch f.kind {
	case kindChoice:
		return "(" + strings.Join(f.choices, " ") + ")"
	case kindFile:
		return "_files"
	case kindDir:
		return "_files -/"
	}
	return " "
}

func zshArguments(b *strings.Builder, c *commandShape) {
	for i, kind := range c.args {
		action := ""
		switch kind {
		case kindContainer:
			action = "container:_davit_containers"
		case kindSignal:
			action = "signal:(" + strings.Join(commonSignals(), " ") + ")"
		case kindShell:
			action = "shell:(" + strings.Join(shells(), " ") + ")"
		case kindCommand:
			action = "command:_davit_commands"
		case kindDir:
			action = "bundle:_files -/"
		default:
			action = "argument: "
		}
		position := fmt.Sprint(i + 1)
		if c.repeats && i == len(c.args)-1 {
			position = "*"
		}
		fmt.Fprintf(b, "        '%s:%s' \\\n", position, action)
	}
	b.WriteString("        && return\n")
}
