// Command bench times davit beside crun, runc and the floor, a C program that
// asks the kernel for the same container and nothing else.
//
// Rounds interleave the runtimes and rotate their order, because what one
// leaves to the kernel (network namespaces are destroyed asynchronously)
// slows the next; ratios are of medians within one run. Most cases run in a
// private mount namespace with a pure cgroup v2 view, where all runtimes
// work: crun refuses a hybrid hierarchy.
//
// It needs root. `make bench` installs and builds what it needs.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// options are the command line, passed on to the views.
type options struct {
	davit, base string
	floor, peak string
	rounds      int
	only        string
	view        string
	json, svg   string
}

func main() {
	var o options
	flag.StringVar(&o.davit, "davit", "./davit", "the davit to measure")
	flag.StringVar(&o.base, "base", "", "another davit to compare it with")
	flag.StringVar(&o.floor, "floor", "", "the floor program")
	flag.StringVar(&o.peak, "peak", "", "the program that measures memory")
	flag.IntVar(&o.rounds, "rounds", 100, "rounds of the short cases")
	flag.StringVar(&o.only, "only", "", "only cases whose names contain this")
	flag.StringVar(&o.view, "view", "", "run the cases of one view in here (used by the program itself)")
	flag.StringVar(&o.json, "json", "", "write the result to this file")
	flag.StringVar(&o.svg, "svg", "", "draw the result into this file")
	flag.Parse()
	if err := bench(&o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(o *options) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("it makes containers of every kind: run it as root")
	}
	if o.view != "" {
		return runView(o)
	}
	var all results
	for _, v := range views() {
		r, err := inView(o, &v)
		if err != nil {
			return err
		}
		all = append(all, r...)
	}
	fmt.Print(all.table())
	if o.json != "" {
		data, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, []byte(all.chart()), 0o644)
	}
	return nil
}

// view is a look at the cgroups in which cases run.
type view struct {
	name   string
	script string // prepares the private mount namespace; ends in exec "$@"
}

// views are those that this host can give.
func views() []view {
	v2 := view{name: "v2", script: `umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"`}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return []view{{name: "v2", script: `exec "$@"`}}
	}
	list := []view{v2, {name: "host", script: `exec "$@"`}}
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		// Without the unified hierarchy beside it a hybrid layout is one of v1, which crun takes.
		list = append(list, view{name: "v1", script: `! [ -d /sys/fs/cgroup/unified ] || umount /sys/fs/cgroup/unified && exec "$@"`})
	}
	return list
}

// inView runs the cases of a view in a process of their own.
func inView(o *options, v *view) (results, error) {
	out, err := os.CreateTemp("", "davit-bench-*.json")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	out.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	davit, err := filepath.Abs(o.davit)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "bash", "-c", v.script, "_", self, "-view", v.name, "-davit", davit,
		"-base", o.base, "-floor", o.floor, "-peak", o.peak, "-rounds", fmt.Sprint(o.rounds), "-only", o.only, "-json", out.Name())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("view %s: %w", v.name, err)
	}
	data, err := os.ReadFile(out.Name())
	if err != nil || len(data) == 0 {
		return nil, err
	}
	var r results
	return r, json.Unmarshal(data, &r)
}

func runView(o *options) error {
	e, err := newEnvironment(o)
	if err != nil {
		return err
	}
	defer e.remove()
	var all results
	for _, c := range cases() {
		if c.view != o.view || !strings.Contains(c.name, o.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", o.view, c.name)
		r, err := e.measure(&c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, r...)
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, data, 0o644)
}
