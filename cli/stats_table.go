package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"davit/cgroups"
)

// statsRows lays the table out, by what changed since the last look.
func statsRows(now, before []sample) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 1, 3, ' ', 0)
	fmt.Fprint(t, "ID\tCPU %\tCPU TIME\tMEMORY\tLIMIT\tMEM %\tREAD\tWRITTEN\tPIDS\n")
	for _, s := range now {
		limit, share := "-", "-"
		memory := s.stats.Memory.Usage
		if isLimit(memory.Limit) {
			limit = humanSize(memory.Limit)
			share = percent(float64(memory.Usage) / float64(memory.Limit))
		}
		read, written := transferred(&s.stats.Blkio)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", s.id, cpuShare(s, before),
			time.Duration(s.stats.CPU.Usage.Total).Round(time.Millisecond), humanSize(memory.Usage), limit, share,
			humanSize(read), humanSize(written), s.stats.Pids.Current)
	}
	_ = t.Flush() // to memory
	return b.String()
}

// cpuShare is the CPU time since the last look by the time since then.
func cpuShare(s sample, before []sample) string {
	for _, b := range before {
		if used := s.stats.CPU.Usage.Total - b.stats.CPU.Usage.Total; b.id == s.id && s.at.After(b.at) && s.stats.CPU.Usage.Total >= b.stats.CPU.Usage.Total {
			return percent(float64(used) / float64(s.at.Sub(b.at)))
		}
	}
	return "-"
}

func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', 1, 64) }

// isLimit tells a limit from the values that stand for none, 2⁶⁴-1 and in
// version 1 a page less than 2⁶³, and from a controller that isn't there.
func isLimit(n uint64) bool { return n > 0 && n < 1<<63-1<<16 }

// transferred sums up bytes of block I/O over devices.
func transferred(b *cgroups.Blkio) (read, written uint64) {
	for _, e := range b.IoServiceBytesRecursive {
		switch e.Op {
		case "Read":
			read += e.Value
		case "Write":
			written += e.Value
		}
	}
	return read, written
}

// screen is text that replaces what the terminal shows, cut to its size.
func screen(text string, columns, rows int) string {
	var b strings.Builder
	b.WriteString("\x1b[H") // to the upper left corner
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if rows > 2 && len(lines) > rows-1 {
		more := len(lines) - (rows - 2)
		lines = append(lines[:rows-2], fmt.Sprintf("and %d more", more))
	}
	for _, l := range lines {
		if columns > 0 && utf8.RuneCountInString(l) > columns {
			l = string([]rune(l)[:columns])
		}
		b.WriteString(l + "\x1b[K\n") // and clear the rest of the line
	}
	b.WriteString("\x1b[J") // and of the screen
	return b.String()
}
