package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func completionScript(t *testing.T, shell string) string {
	t.Helper()
	code, out, errs := davit(t, "completion", shell)
	if code != 0 || errs != "" || !strings.Contains(out, "davit completion "+shell) {
		t.Fatalf("exit %d, stderr %q", code, errs)
	}
	return out
}

// TestCompletionFiles holds the scripts that packages install against the commands.
func TestCompletionFiles(t *testing.T) {
	for shell, file := range map[string]string{"bash": "davit.bash", "zsh": "_davit", "fish": "davit.fish"} {
		have, err := os.ReadFile(filepath.Join("../completions", file))
		if err != nil || string(have) != completionScript(t, shell) {
			t.Errorf("completions/%s isn't up to date (%v): run go generate ./docs/man", file, err)
		}
	}
	if code, out, errs := davit(t, "completion", "csh"); code != 1 || out != "" || !strings.Contains(errs, "choose bash, zsh or fish") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out, errs)
	}
}

// completions are command lines, the last word to be completed, and what may come of it. "<ids>" are the containers.
func completions() []struct{ line, want string } {
	return []struct{ line, want string }{
		{"st", "start state stats"},
		{"--log-f", "--log-format"},
		{"--log-format ", "text json"},
		{"--log /l --rootless ", "true false auto"},
		{"create --b", "--bundle"},
		{"create --bundle DIR/roo", "DIR/rootfs"},
		{"update -r DIR/con", "DIR/config.json"},
		{"explain DIR/roo", "DIR/rootfs"},
		{"ps --format ", "table json"},
		{"stats --format=op", "openmetrics"},
		{"start ", "<ids>"},
		{"delete --force ", "<ids>"},
		{"kill a", "alpha"},
		{"kill alpha K", "KILL"},
		{"kill alpha TERM ", ""},
		{"stats alpha b", "beta"},
		{"exec --env A=1 --tt", "--tty"},
		{"exec alpha --tt", ""},
		{"ps alpha --form", ""},
		{"spec --rootless --bun", "--bundle"},
		{"--rootless true spec --bun", "--bundle"},
		{"help upd", "update"},
		{"completion ", "bash zsh fish"},
		{"list a", ""},
		{"-- st", "start state stats"},
	}
}

// fakeDavit is a program of davit's name that lists two containers, if it is asked for those of the right directory.
func fakeDavit(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in '--root /r list --quiet'|'--root=/r list --quiet') echo alpha; echo beta;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "davit"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// testCompletion has a shell complete all lines at once: it gets them on its
// standard input, and prints for each what it proposes and a line with a full stop.
func testCompletion(t *testing.T, shell, file, program string, asWords func(line string) string, clean func(word string) string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("%s isn't installed", shell)
	}
	dir, bundle := t.TempDir(), defaultBundle(t)
	script := filepath.Join(dir, file)
	if err := os.WriteFile(script, []byte(completionScript(t, shell)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "setup"), []byte(zshSetup), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines, wants []string
	var input strings.Builder
	for _, root := range []string{"--root /r ", "--root=/r "} {
		for _, tt := range completions() {
			lines = append(lines, root+strings.ReplaceAll(tt.line, "DIR", bundle))
			wants = append(wants, strings.ReplaceAll(strings.ReplaceAll(tt.want, "DIR", bundle), "<ids>", "alpha beta"))
			input.WriteString(asWords(lines[len(lines)-1]) + "\n")
		}
	}
	cmd := exec.Command(shell, "-c", program)
	cmd.Env = append(os.Environ(), "PATH="+fakeDavit(t)+":"+os.Getenv("PATH"), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "SCRIPT="+script)
	cmd.Stdin = strings.NewReader(input.String())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Errorf("%v: %s", err, errs.String())
	}
	answers := strings.Split(string(out), ".\n")
	if len(answers) != len(lines)+1 {
		t.Fatalf("%d answers to %d lines", len(answers)-1, len(lines))
	}
	for i, line := range lines {
		got, want := strings.Fields(""), strings.Fields(wants[i])
		for word := range strings.Lines(answers[i]) {
			if word = clean(strings.TrimSuffix(word, "\n")); word != "" {
				got = append(got, word)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("davit %s: %q, want %q", line, got, want)
		}
	}
}

func TestBashCompletion(t *testing.T) {
	// readline splits words at COMP_WORDBREAKS, which has the equals sign.
	testCompletion(t, "bash", "davit.bash", `
		source "$SCRIPT"
		compopt() { :; }
		while IFS= read -r line; do
			IFS=$'\t' read -r -a words <<<"$line."
			words[-1]=${words[-1]%.}
			COMP_WORDS=(davit "${words[@]}") COMP_CWORD=${#words[@]}
			_davit davit
			printf '%s\n' "${COMPREPLY[@]}" .
		done`,
		func(line string) string {
			return strings.ReplaceAll(strings.ReplaceAll(line, "=", " = "), " ", "\t")
		},
		func(word string) string { return word })
}

func TestFishCompletion(t *testing.T) {
	testCompletion(t, "fish", "davit.fish", `
		source $SCRIPT
		while read -l line
			complete -C "davit "(string sub -e -1 -- $line)
			echo .
		end`,
		func(line string) string { return line + "." },
		func(word string) string {
			word, _, _ = strings.Cut(word, "\t") // a description follows
			if i := strings.Index(word, "="); strings.HasPrefix(word, "--") && i > 0 {
				word = word[i+1:] // the flag is repeated
			}
			return strings.TrimSuffix(word, "/")
		})
}

// TestZshCompletion types into a zsh on a terminal: its completion system runs nowhere else.
func TestZshCompletion(t *testing.T) {
	testCompletion(t, "zsh", "_davit", `
		zmodload zsh/zpty
		export SCRIPT ANSWERS=$HOME/answers
		: >$ANSWERS
		zpty shell zsh -f -i
		zpty -w shell 'source $HOME/setup'
		integer asked=0
		while IFS= read -r line; do
			zpty -n -w shell "davit ${line%.}"$'\x14'
			(( ++asked ))
			# What it shows is thrown away, so that it never waits for a reader.
			for ((i = 0; i < 1000; i++)); do
				zpty -r -t shell shown >/dev/null
				[[ $(grep -c '^\.$' $ANSWERS) -lt $asked ]] || break
				sleep 0.02
			done
		done
		cat $ANSWERS`,
		func(line string) string { return line + "." },
		func(word string) string {
			if word == "-h" || word == "--help" {
				return "" // zsh names the flags where no argument can follow
			}
			return strings.TrimSuffix(word, "/")
		})
}

// zshSetup makes a key write down what zsh proposes: compadd is what proposals go through, zshcompwid(1).
const zshSetup = `
PROMPT= RPROMPT=
autoload -Uz compinit
fpath=(${SCRIPT:h} $fpath)
compinit -D -u
typeset -gaU proposals
compadd() {
	local -a hits
	local before=
	integer i
	for ((i = 1; i < $#; i++)); do
		case $@[i] in
		(-[OAD]) builtin compadd "$@"; return ;; # asks what matches, proposes nothing
		(-p) before=$@[i+1] ;;
		esac
	done
	builtin compadd -A hits "$@"
	proposals+=(${hits/#/$before})
	builtin compadd "$@"
}
answer() {
	proposals=()
	zle complete-word
	print -rl -- $proposals . >>$ANSWERS
	zle kill-buffer
}
zle -N answer
bindkey '^T' answer
`
