package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// outcome is one test, or one part of a test.
type outcome struct {
	name    string
	action  string // pass, fail, skip, or unfinished
	seconds float64
	output  []string
}

// event is a line of test2json.
type event struct {
	Action  string
	Test    string
	Output  string
	Elapsed float64
}

// report prints the table of a machine's run, with the output of what failed, and tells whether all is well.
func report(w io.Writer, machine, log string, suites []suite) (bool, error) {
	raw, err := os.ReadFile(log)
	if err != nil {
		return false, err
	}
	good := true
	for _, s := range suites {
		text, code, ok := section(raw, s.name)
		outcomes, err := decode(text)
		if err != nil {
			return false, err
		}
		if !table(w, machine, s.name, outcomes) {
			good = false
		}
		switch {
		case !ok:
			fmt.Fprintf(w, "%s/%s: didn't come to its end; %s has its output\n", machine, s.name, log)
			good = false
		case code != "0":
			fmt.Fprintf(w, "%s/%s: exit code %s\n", machine, s.name, code)
			good = false
		}
	}
	return good, nil
}

// section cuts a suite's output out of the machine's.
func section(raw []byte, name string) (text []byte, code string, ended bool) {
	_, text, found := bytes.Cut(raw, []byte("\n"+beginMark+name+"\n"))
	if !found {
		return nil, "", false
	}
	text, rest, ended := bytes.Cut(text, []byte("\n"+endMark+name+" "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return text, string(line), ended
}

// decode leaves it to Go's own tool to tell tests apart in what they wrote.
func decode(text []byte) ([]*outcome, error) {
	cmd := exec.Command("go", "tool", "test2json", "-t") // -t brings how long each took
	cmd.Stdin = bytes.NewReader(text)
	lines, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	var order []*outcome
	byName := map[string]*outcome{}
	for d := json.NewDecoder(bytes.NewReader(lines)); ; {
		var e event
		if err := d.Decode(&e); err == io.EOF {
			return order, nil
		} else if err != nil {
			return nil, err
		}
		if e.Test == "" {
			continue
		}
		o := byName[e.Test]
		if o == nil {
			o = &outcome{name: e.Test, action: "unfinished"}
			byName[e.Test], order = o, append(order, o)
		}
		switch e.Action {
		case "pass", "fail", "skip":
			o.action, o.seconds = e.Action, e.Elapsed
		case "output":
			o.output = append(o.output, e.Output)
		}
	}
}

// table prints a line for each scenario of tests/vm; other suites, which run elsewhere too, are summed up, but for what didn't pass.
func table(w io.Writer, machine, name string, outcomes []*outcome) bool {
	count := map[string]int{}
	for _, o := range outcomes {
		count[o.action]++
		if o.action == "unfinished" || o.action == "pass" && name != "vm" {
			continue
		}
		fmt.Fprintf(w, "%-8s %-11s %-58s %-4s %6.1fs  %s\n", machine, name, strings.TrimPrefix(o.name, "Test"), o.action, o.seconds, o.reason())
	}
	fmt.Fprintf(w, "%-8s %-11s %d passed, %d failed, %d skipped\n", machine, name, count["pass"], count["fail"]+count["unfinished"], count["skip"])
	for _, o := range outcomes {
		if o.action == "unfinished" {
			fmt.Fprintf(w, "%-8s %-11s %s didn't end\n", machine, name, strings.TrimPrefix(o.name, "Test"))
		}
		if o.action == "fail" {
			fmt.Fprintf(w, "--- %s/%s %s\n%s", machine, name, o.name, strings.Join(o.output, ""))
		}
	}
	return count["fail"]+count["unfinished"] == 0
}

// reason is why a test was skipped: the last thing that it said.
func (o *outcome) reason() string {
	if o.action != "skip" {
		return ""
	}
	for i := len(o.output) - 1; i >= 0; i-- {
		line := strings.TrimSpace(o.output[i])
		if line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return line
		}
	}
	return ""
}

// progress says which suite has begun.
type progress struct {
	to      io.Writer
	machine string
	line    []byte
}

func (p *progress) Write(data []byte) (int, error) {
	p.line = append(p.line, data...)
	for {
		i := bytes.IndexByte(p.line, '\n')
		if i < 0 {
			return len(data), nil
		}
		if name, ok := bytes.CutPrefix(p.line[:i], []byte(beginMark)); ok {
			fmt.Fprintf(p.to, "machine %s: %s\n", p.machine, name)
		}
		p.line = p.line[i+1:]
	}
}
