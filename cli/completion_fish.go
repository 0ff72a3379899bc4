package cli

import (
	"fmt"
	"strings"
)

const fishHead = `# fish completion for davit, made by "davit completion fish"

# Prints the command and then its arguments, one a line.
function __davit_line
    set -l tokens (commandline -opc)
    set -e tokens[1]
    set -l command ''
    set -l flag ''
    set -l literal ''
    set -l arguments
    for token in $tokens
        if test -n "$flag"
            set flag ''
        else if test -z "$literal"; and string match -q -- '--' $token
            set literal 1
        else if test -z "$literal"; and string match -q -- '-*' $token
            if not string match -q -- '*=*' $token; and __davit_takes_value "$command $token"
                set flag $token
            end
        else if test -z "$command"
            set command $token
        else
            set -a arguments $token
            if contains -- $command $__davit_stops
                set literal 1
            end
        end
    end
    printf '%s\n' "$command" $arguments
end

# Tells whether the command is this one, and with a number that so many arguments came before.
function __davit_at
    set -l line (__davit_line)
    test "$line[1]" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test (count $line) -$argv[2] (math $argv[3] + 1)
end

# Tells whether flags of this command can be given.
function __davit_flags
    set -l line (__davit_line)
    test "$line[1]" = "$argv[1]"; or return 1
    not contains -- $argv[1] $__davit_stops; or test (count $line) -eq 1
end

function __davit_containers
    set -l tokens (commandline -opc)
    set -l root
    for i in (seq (count $tokens))
        switch $tokens[$i]
            case '--root'
                set root --root $tokens[(math $i + 1)]
            case '--root=*'
                set root $tokens[$i]
        end
    end
    davit $root list --quiet 2>/dev/null
end
`

// fishCompletion writes a script for fish 3.
func fishCompletion(s *shape) string {
	var b strings.Builder
	b.WriteString(fishHead)
	fishValues(&b, s)
	b.WriteString("\ncomplete -c davit -f\n")
	for i := range s.global {
		fishFlag(&b, "__davit_at ''", &s.global[i])
	}
	for i := range s.commands {
		c := &s.commands[i]
		fmt.Fprintf(&b, "complete -c davit -n \"__davit_at ''\" -a %s -d %s\n", c.name, fishQuote(c.summary))
	}
	for i := range s.commands {
		c := &s.commands[i]
		b.WriteByte('\n')
		for j := range c.flags {
			fishFlag(&b, "__davit_flags "+c.name, &c.flags[j])
		}
		fishArguments(&b, s, c)
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func fishValues(b *strings.Builder, s *shape) {
	var stops, takes, not []string
	for i := range s.commands {
		c := &s.commands[i]
		if c.stops {
			stops = append(stops, c.name)
		}
		for j := range s.global {
			if g := &s.global[j]; g.value != "" && c.overrides(g) {
				for _, w := range g.words() {
					not = append(not, fishQuote(c.name+" "+w))
				}
			}
		}
		for j := range c.flags {
			for _, w := range c.flags[j].words() {
				if c.flags[j].value != "" {
					takes = append(takes, fishQuote(c.name+" "+w))
				}
			}
		}
	}
	for j := range s.global {
		for _, w := range s.global[j].words() {
			if s.global[j].value != "" {
				takes = append(takes, fishQuote("* "+w))
			}
		}
	}
	fmt.Fprintf(b, "\nset -g __davit_stops %s\n", strings.Join(stops, " "))
	b.WriteString("\nfunction __davit_takes_value\n    switch $argv[1]\n")
	if len(not) > 0 {
		fmt.Fprintf(b, "        case %s\n            return 1\n", strings.Join(not, " "))
	}
	fmt.Fprintf(b, "        case %s\n            return 0\n    end\n    return 1\nend\n", strings.Join(takes, " \\\n            "))
}

func fishFlag(b *strings.Builder, condition string, f *flagShape) {
	fmt.Fprintf(b, "complete -c davit -n \"%s\" -l %s", condition, f.long)
	if f.short != "" {
		b.WriteString(" -s " + f.short)
	}
	if f.value != "" {
		switch f.kind {
		case kindChoice:
			b.WriteString(" -x -a " + fishQuote(strings.Join(f.choices, " ")))
		case kindFile:
			b.WriteString(" -r -F")
		case kindDir:
			b.WriteString(" -x -a '(__fish_complete_directories (commandline -ct))'")
		default:
			b.WriteString(" -x")
		}
	}
	b.WriteString(" -d " + fishQuote(f.summary) + "\n")
}

func fishArguments(b *strings.Builder, s *shape, c *commandShape) {
	for i, kind := range c.args {
		action := ""
		switch kind {
		case kindContainer:
			action = "-a '(__davit_containers)' -d container"
		case kindSignal:
			action = "-a " + fishQuote(strings.Join(commonSignals(), " ")) + " -d signal"
		case kindShell:
			action = "-a " + fishQuote(strings.Join(shells(), " ")) + " -d shell"
		case kindCommand:
			action = "-a " + fishQuote(strings.Join(s.commandNames(), " ")) + " -d command"
		case kindDir:
			action = "-a '(__fish_complete_directories (commandline -ct))'"
		default:
			continue
		}
		comparison := "eq"
		if c.repeats && i == len(c.args)-1 {
			comparison = "ge"
		}
		fmt.Fprintf(b, "complete -c davit -n \"__davit_at %s %s %d\" %s\n", c.name, comparison, i, action)
	}
}
