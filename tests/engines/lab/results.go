package lab

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Result is the outcome of one scenario.
type Result struct {
	Engine   string // with its version
	Cgroups  Cgroups
	Scenario string
	Outcome  string // pass, fail, skip
	Reason   string `json:",omitempty"`
}

// Timing compares runtimes by one command of an engine.
type Timing struct {
	Engine  string
	Cgroups Cgroups
	Command string
	Rounds  int
	Load    string             // of the machine meanwhile: the average over a minute, by the kernel
	Median  map[string]float64 // in milliseconds, by runtime
	Least   map[string]float64
	Order   []string
	Without map[string]string `json:",omitempty"` // why other runtimes weren't measured
}

// Run says what an engine was tested with in one kind of cgroups.
type Run struct {
	Engine  string
	Cgroups Cgroups
	Davit   string // its version
	Kernel  string
}

// Results is what a package's runs found out. There is one for the process:
// TestMain writes what the tests add.
type Results struct {
	Runs    []Run
	Results []Result
	Timings []Timing
}

var results Results

// write makes a file of what this process found out. If it didn't run all tests, the
// results of engines and cgroups that it did run take the place of those in
// the file, and if these aren't all there either, the file is left alone.
func (r *Results) write(path string) error {
	pattern := testFlag("test.run")
	if strings.Count(pattern, "/") > 1 || testFlag("test.skip") != "" {
		fmt.Println("results are of whole tables only: these aren't kept")
		return nil
	}
	version, _ := exec.Command(os.Getenv("DAVIT"), "--version").Output()
	line, _, _ := strings.Cut(string(version), "\n")
	for _, one := range r.Results {
		if of := (Run{one.Engine, one.Cgroups, line, kernelRelease()}); !slices.Contains(r.Runs, of) {
			r.Runs = append(r.Runs, of)
		}
	}
	all := *r
	if pattern != "" {
		var err error
		if all, err = ReadResults(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		all.replace(r)
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// ReadResults reads a file that a run wrote.
func ReadResults(path string) (Results, error) {
	var r Results
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// replace takes the results of new runs in the place of those before.
func (r *Results) replace(by *Results) {
	again := func(engine string, cgroups Cgroups) bool {
		return slices.ContainsFunc(by.Runs, func(n Run) bool { return n.Engine == engine && n.Cgroups == cgroups })
	}
	r.Runs = append(slices.DeleteFunc(r.Runs, func(o Run) bool { return again(o.Engine, o.Cgroups) }), by.Runs...)
	r.Results = append(slices.DeleteFunc(r.Results, func(o Result) bool { return again(o.Engine, o.Cgroups) }), by.Results...)
	r.Timings = append(slices.DeleteFunc(r.Timings, func(o Timing) bool { return again(o.Engine, o.Cgroups) }), by.Timings...)
}

func testFlag(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
