package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v3"
)

// usageError is a command line that means nothing.
type usageError struct {
	text  string
	usage string // how it is meant to be
	topic string // what to type to learn more
}

func (e *usageError) Error() string { return e.text }

func (e *usageError) printUsage(w io.Writer) {
	fmt.Fprintf(w, "Usage: %s\nTry '%s'.\n", e.usage, e.topic)
}

func newUsageError(cmd *urfave.Command, text string) *usageError {
	return &usageError{text: text, usage: synopsis(cmd), topic: cmd.FullName() + " --help"}
}

// checkArgs counts arguments, in words that callers of runc know.
func checkArgs(cmd *urfave.Command, n, minArgs, maxArgs int) error {
	quantity, limit := "", 0
	switch {
	case minArgs == maxArgs && n != minArgs:
		quantity, limit = "exactly", minArgs
	case n < minArgs:
		quantity, limit = "a minimum of", minArgs
	case maxArgs >= 0 && n > maxArgs:
		quantity, limit = "a maximum of", maxArgs
	default:
		return nil
	}
	return newUsageError(cmd, fmt.Sprintf("%s: %q requires %s %d argument(s)", name, cmd.Name, quantity, limit))
}

// onUsageError puts the parser's complaint into words.
func onUsageError(_ context.Context, cmd *urfave.Command, err error, _ bool) error {
	text := err.Error()
	if flag, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		text = fmt.Sprintf("unknown flag %q%s", dashed(flag), didYouMean(flag, flagNames(cmd)))
	}
	return newUsageError(cmd, cmd.FullName()+": "+text)
}

func flagNames(cmd *urfave.Command) []string {
	var names []string
	for _, f := range append(cmd.VisibleFlags(), cmd.VisiblePersistentFlags()...) {
		names = append(names, f.Names()...)
	}
	return names
}

func dashed(flag string) string {
	if len(flag) == 1 {
		return "-" + flag
	}
	return "--" + flag
}

// didYouMean proposes the one of the names that word is a slip of, if there is one.
func didYouMean(word string, names []string) string {
	best, slips := "", 1+len(word)/4
	for _, n := range names {
		if d := distance(word, n); len(n) > 1 && d <= slips {
			best, slips = n, d-1
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the insertions, removals and replacements of bytes between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := corner
			if a[i] != b[j] {
				d = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
