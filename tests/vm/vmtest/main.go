// Vmtest is `make vm-test`: it builds the tests, runs them in the machines of tests/vm, and prints what came of each.
//
//	vmtest [-machine NAME] [-suite NAME] [-run REGEXP] [-v]
//	vmtest [-machine NAME] -c COMMAND
//
// The second form runs a shell command instead, with davit in PATH: to look around.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"davit/tests/vm/machine"
)

func main() {
	guest := flag.String("guest", "/var/tmp/davit-test-cache/vm", "directory that guest.sh filled")
	davit := flag.String("davit", "./davit", "the binary under test")
	tags := flag.String("tags", "", "build tags of the tests")
	only := flag.String("machine", "", "run only this machine: apparmor or selinux")
	suite := flag.String("suite", "", "run only this suite")
	run := flag.String("run", "", "run only tests that match, as go test has it")
	command := flag.String("c", "", "run this shell command instead of tests")
	limit := flag.Duration("timeout", 2*time.Hour, "of one machine")
	logs := flag.String("logs", "", "directory for what machines write; by default that of the guest")
	verbose := flag.Bool("v", false, "show what the tests write")
	flag.Parse()
	if *logs == "" {
		*logs = *guest
	}
	r := &runner{guest: *guest, davit: *davit, tags: *tags, logs: *logs, limit: *limit, verbose: *verbose, selection: selection{suite: *suite, run: *run}}
	ok, err := r.all(*only, *command)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

type runner struct {
	guest, davit, tags string
	logs               string
	limit              time.Duration
	verbose            bool
	selection          selection
}

// all boots one machine after the other, for they are slow enough alone.
func (r *runner) all(only, command string) (bool, error) {
	dir, err := os.MkdirTemp("", "davit-vmtest-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	ok, ran := true, false
	for _, m := range machines {
		if only != "" && only != m.name || command != "" && ran {
			continue
		}
		if command == "" && len(m.chosen(r.selection)) == 0 {
			continue
		}
		ran = true
		good, err := r.one(&m, dir, command)
		if err != nil {
			return false, fmt.Errorf("machine %s: %w", m.name, err)
		}
		ok = ok && good
	}
	if !ran {
		return false, errors.New("nothing to run: no such machine or suite")
	}
	return ok, nil
}

// one runs a machine and reports.
func (r *runner) one(m *kind, dir, command string) (bool, error) {
	job := filepath.Join(dir, m.name+".tar")
	suites := m.chosen(r.selection)
	script := m.script(suites, r.selection)
	if command != "" {
		suites, script = nil, shell(command)
	}
	if err := r.pack(job, script, suites); err != nil {
		return false, err
	}
	raw, err := os.Create(filepath.Join(r.logs, m.name+".log"))
	if err != nil {
		return false, err
	}
	defer raw.Close()
	var out io.Writer = raw
	if r.verbose || command != "" {
		out = io.MultiWriter(raw, os.Stdout)
	}
	fmt.Fprintf(os.Stderr, "machine %s: booting\n", m.name)
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	start := time.Now()
	box := machine.Machine{Guest: r.guest, LSM: m.lsm, Console: filepath.Join(r.logs, m.name+".console")}
	progress := &progress{to: os.Stderr, machine: m.name}
	code, err := box.Run(ctx, job, io.MultiWriter(out, progress))
	if command != "" {
		return code == 0, err
	}
	// What ran before the machine fell over is worth seeing, too.
	good, reportErr := report(os.Stdout, m.name, raw.Name(), suites)
	fmt.Printf("machine %s: %s in all\n\n", m.name, time.Since(start).Round(time.Second))
	return good && code == 0, errors.Join(err, reportErr)
}
