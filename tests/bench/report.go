package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what one runtime showed in one row.
type result struct {
	Case    string  `json:"case"`
	Runtime string  `json:"runtime"`
	Rounds  int     `json:"rounds"`
	Unit    string  `json:"unit"` // of median, min and p95: ms or KiB
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	P95     float64 `json:"p95"`
	CPU     float64 `json:"cpu_ms,omitempty"` // median of user and system time
	Peak    int     `json:"peak_kib,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"` // davit's median to this one's
	Goal    string  `json:"goal,omitempty"`  // davit's
}

type results []result

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// quantile takes sorted values.
func quantile(v []float64, q float64) float64 { return v[int(q*float64(len(v)-1)+.5)] }

func (c *benchCase) results(who []*runtime, samples [][][]sample, peaks [][]sample) results {
	rows := c.rows
	if rows == nil {
		rows = []string{c.name}
	}
	var all results
	for row, name := range rows {
		var ours float64
		for i, r := range who {
			res := c.result(name, r.name, column(samples[i], row))
			if peaks[i] != nil {
				res.Peak = peaks[i][row].peak
			}
			if i == 0 {
				ours = res.Median
				res.Goal = c.goal
			} else {
				res.Ratio = ours / res.Median
			}
			all = append(all, res)
		}
	}
	return all
}

func column(rounds [][]sample, row int) []sample {
	out := make([]sample, len(rounds))
	for i, r := range rounds {
		out[i] = r[row]
	}
	return out
}

func (c *benchCase) result(name, who string, samples []sample) result {
	var times, cpu []float64
	res := result{Case: name, Runtime: who, Rounds: len(samples), Unit: cmp.Or(c.unit, "ms")}
	for _, s := range samples {
		if c.unit != "" {
			times = append(times, float64(s.value))
			continue
		}
		times, cpu = append(times, milliseconds(s.wall)), append(cpu, milliseconds(s.cpu))
	}
	slices.Sort(times)
	slices.Sort(cpu)
	res.Median, res.Min, res.P95 = quantile(times, .5), times[0], quantile(times, .95)
	if len(cpu) > 0 {
		res.CPU = quantile(cpu, .5)
	}
	return res
}

// table is for people.
func (all results) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\truntime\tmedian\tmin\tp95\tunit\tCPU ms\tpeak KiB\tdavit/this\tgoal\t")
	last := ""
	for _, r := range all {
		name := r.Case
		if name == last {
			name = ""
		}
		last = r.Case
		ratio, cpu, peak := "", "", ""
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		if r.Unit == "ms" {
			cpu = fmt.Sprintf("%.2f", r.CPU)
		}
		if r.Peak > 0 {
			peak = fmt.Sprint(r.Peak)
		}
		format := "%.2f"
		if r.Unit != "ms" {
			format = "%.0f"
		}
		number := func(v float64) string { return fmt.Sprintf(format, v) }
		fmt.Fprintln(w, strings.Join([]string{name, r.Runtime, number(r.Median), number(r.Min), number(r.P95), r.Unit, cpu, peak, ratio, r.Goal, ""}, "\t"))
	}
	w.Flush()
	return b.String()
}

// chart draws the medians of the timed cases as bars, each relative to the slowest of its case.
func (all results) chart() string {
	const left, width, bar, gap = 250, 420, 14, 10
	colours := map[string]string{"davit": "#0b7285", "base": "#66a5ad", "crun": "#adb5bd", "runc": "#868e96", "floor": "#dee2e6"}
	slowest := map[string]float64{}
	for _, r := range all {
		slowest[r.Case] = max(slowest[r.Case], r.Median)
	}
	var b strings.Builder
	y, last := gap, ""
	for _, r := range all {
		if r.Unit != "ms" {
			continue
		}
		if r.Case != last {
			y += gap
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-weight=\"bold\">%s</text>\n", left-60, y+bar-3, r.Case)
			last = r.Case
		}
		w := r.Median / slowest[r.Case] * width
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text><rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/><text x=\"%.1f\" y=\"%d\">%.2f ms</text>\n",
			left-8, y+bar-3, r.Runtime, left, y, w, bar-2, colours[r.Runtime], left+w+6, y+bar-3, r.Median)
		y += bar
	}
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n"+
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n%s</svg>\n", left+width+90, y+2*gap, b.String())
}
