package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal tells whether a person may be reading w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// terminalSize is how much w shows; 0 if it isn't a terminal.
func terminalSize(w io.Writer) (columns, rows int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(ws.Col), int(ws.Row)
}

// width is how many columns w shows; 0 if it isn't a terminal.
func width(w io.Writer) int {
	columns, _ := terminalSize(w)
	return columns
}

// palette is what highlights text: nothing, except on a terminal whose user didn't refuse colours (no-color.org).
type palette struct{ bold, dim, accent, good, doubtful, bad, reset string }

func colours(w io.Writer) palette {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return palette{}
	}
	return palette{bold: "\x1b[1m", dim: "\x1b[2m", accent: "\x1b[36m", good: "\x1b[32m", doubtful: "\x1b[33m", bad: "\x1b[31m", reset: "\x1b[0m"}
}
