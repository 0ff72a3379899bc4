package cli

import (
	"fmt"
	"strings"
)

const bashHead = `# bash completion for davit, made by "davit completion bash"

_davit() {
    local program=$1 word command= flag= position=0 literal= joined=
    local -a words=() root=()
    # readline makes three words of NAME=VALUE.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ $word == "=" && ${#words[@]} -gt 0 ]]; then
            words[-1]+="="
            joined=1
        elif [[ $joined ]]; then
            words[-1]+=$word
            joined=
        else
            words+=("$word")
        fi
    done
    local current=${words[-1]}
    for word in "${words[@]:0:${#words[@]}-1}"; do
        if [[ $flag ]]; then
            [[ $flag == --root ]] && root=(--root "$word")
            flag=
        elif [[ ! $literal && $word == -- ]]; then
            literal=1
        elif [[ ! $literal && $word == -* ]]; then
            [[ $word == --root=* ]] && root=("$word")
            if [[ $word != *=* ]] && _davit_takes_value "$command $word"; then
                flag=$word
            fi
        elif [[ ! $command ]]; then
            command=$word
        else
            position=$((position + 1))
            _davit_stops "$command" && literal=1
        fi
    done
    COMPREPLY=()
    if [[ $flag ]]; then
        _davit_value "$command $flag"
    elif [[ ! $literal && $current == --*=* ]]; then
        flag=${current%%=*}
        current=${current#*=}
        _davit_value "$command $flag"
    elif [[ ! $literal && $current == -* ]]; then
        _davit_words "$(_davit_flags "$command")"
    elif [[ ! $command ]]; then
        _davit_words "$_davit_commands"
    else
        _davit_argument
    fi
}

_davit_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_davit_paths() {
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}

_davit_containers() {
    _davit_words "$("$program" "${root[@]}" list --quiet 2>/dev/null)"
}
`

// bashCompletion writes a script for bash 4.2 or later, which needs nothing else.
func bashCompletion(s *shape) string {
	var b strings.Builder
	b.WriteString(bashHead)
	fmt.Fprintf(&b, "\n_davit_commands='%s'\n", strings.Join(s.commandNames(), " "))
	bashFlags(&b, s)
	bashValues(&b, s)
	bashArguments(&b, s)
	b.WriteString("\ncomplete -F _davit davit\n")
	return b.String()
}

func bashFlags(b *strings.Builder, s *shape) {
	words := func(flags []flagShape) string {
		var all []string
		for i := range flags {
			all = append(all, flags[i].words()...)
		}
		return strings.Join(all, " ")
	}
	b.WriteString("\n_davit_flags() {\n    case $1 in\n")
	for i := range s.commands {
		fmt.Fprintf(b, "        %s) echo '%s' ;;\n", s.commands[i].name, words(s.commands[i].flags))
	}
	fmt.Fprintf(b, "        '') echo '%s' ;;\n    esac\n}\n", words(s.global))
}

// bashPatterns are case patterns for all spellings of a flag.
func bashPatterns(command string, f *flagShape) string {
	var all []string
	for _, w := range f.words() {
		all = append(all, command+"' "+w+"'")
	}
	return strings.Join(all, " | ")
}

func bashValues(b *strings.Builder, s *shape) {
	var takes, values strings.Builder
	add := func(command string, f *flagShape) {
		pattern := bashPatterns(command, f)
		switch f.kind {
		case kindChoice:
			fmt.Fprintf(&values, "        %s) _davit_words '%s' ;;\n", pattern, strings.Join(f.choices, " "))
		case kindFile:
			fmt.Fprintf(&values, "        %s) _davit_paths -f ;;\n", pattern)
		case kindDir:
			fmt.Fprintf(&values, "        %s) _davit_paths -d ;;\n", pattern)
		}
		if f.value != "" {
			fmt.Fprintf(&takes, "        %s) return 0 ;;\n", pattern)
		}
	}
	for i := range s.commands {
		c := &s.commands[i]
		for j := range s.global {
			if g := &s.global[j]; g.value != "" && c.overrides(g) {
				fmt.Fprintf(&takes, "        %s) return 1 ;;\n", bashPatterns(c.name, g))
			}
		}
		for j := range c.flags {
			add(c.name, &c.flags[j])
		}
	}
	for j := range s.global {
		add("*", &s.global[j])
	}
	fmt.Fprintf(b, "\n_davit_takes_value() {\n    case $1 in\n%s    esac\n    return 1\n}\n", &takes)
	fmt.Fprintf(b, "\n_davit_value() {\n    case $1 in\n%s    esac\n}\n", &values)
}

func bashArguments(b *strings.Builder, s *shape) {
	var stops []string
	b.WriteString("\n_davit_argument() {\n    case \"$command $position\" in\n")
	for i := range s.commands {
		c := &s.commands[i]
		if c.stops {
			stops = append(stops, c.name)
		}
		for at, kind := range c.args {
			action := ""
			switch kind {
			case kindContainer:
				action = "_davit_containers"
			case kindSignal:
				action = "_davit_words '" + strings.Join(commonSignals(), " ") + "'"
			case kindShell:
				action = "_davit_words '" + strings.Join(shells(), " ") + "'"
			case kindCommand:
				action = `_davit_words "$_davit_commands"`
			case kindDir:
				action = "_davit_paths -d"
			default:
				continue
			}
			position := fmt.Sprintf("' %d'", at)
			if c.repeats && at == len(c.args)-1 {
				position = "' '*"
			}
			fmt.Fprintf(b, "        %s%s) %s ;;\n", c.name, position, action)
		}
	}
	fmt.Fprintf(b, "    esac\n}\n\n_davit_stops() {\n    [[ $1 == @(%s) ]]\n}\n", strings.Join(stops, "|"))
}
