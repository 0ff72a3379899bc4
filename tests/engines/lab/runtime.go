package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Runtimes are those that a cell can offer to an engine. All but davit may be missing.
func Runtimes() []string { return []string{"davit", "runc", "crun"} }

// Recorder is the path of a script that writes down its arguments and executes the runtime.
func (c *Cell) Recorder(runtime string) string { return c.Path("bin", runtime) }

// Direct is the runtime's own path, for measuring. It is empty if there is no such runtime.
func (c *Cell) Direct(runtime string) string {
	if runtime == "davit" {
		path, _ := filepath.Abs(os.Getenv("DAVIT"))
		return path
	}
	path := c.Path("real", runtime)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// makeRecorders returns which of the host's files they take the place of in
// the cell, so that an engine that falls back to its default is found out.
func (c *Cell) makeRecorders() map[string]string {
	mask := make(map[string]string)
	c.Write("calls", "", 0o666) // also for engines without privileges
	for _, name := range Runtimes() {
		if name != "davit" {
			host, err := exec.LookPath(name)
			if err != nil {
				continue
			}
			if host, err = filepath.EvalSymlinks(host); err != nil {
				c.t.Fatal(err)
			}
			program, err := os.ReadFile(host)
			if err != nil {
				c.t.Fatal(err)
			}
			c.Write(filepath.Join("real", name), string(program), 0o755)
			mask[host] = c.Recorder(name)
		}
		script := fmt.Sprintf("#!/bin/sh\nprintf '%%s %%s\\n' %s \"$*\" >>%s\nexec %s \"$@\"\n", name, c.Path("calls"), c.Direct(name))
		c.Write(filepath.Join("bin", name), script, 0o755)
	}
	return mask
}

// call is one of a runtime.
type call struct {
	runtime string
	args    []string
}

// makes tells whether a container comes into being by it.
func (c call) makes() bool {
	return slices.ContainsFunc(c.args, func(a string) bool { return a == "create" || a == "run" || a == "restore" })
}

// Calls returns how runtimes have been called so far, as "davit --root … create …".
func (c *Cell) Calls() []string {
	text, err := os.ReadFile(c.Path("calls"))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// proof says what is wrong if davit didn't make the containers, or another runtime did.
func proof(calls []string, beside bool) string {
	made := make(map[string]int)
	for _, line := range calls {
		if f := strings.Fields(line); len(f) > 1 {
			if c := (call{f[0], f[1:]}); c.makes() {
				made[c.runtime]++
			}
		}
	}
	if made["davit"] == 0 {
		return fmt.Sprintf("davit wasn't asked to make a container; the calls were:\n%s", strings.Join(calls, "\n"))
	}
	delete(made, "davit")
	if len(made) > 0 && !beside {
		return fmt.Sprintf("other runtimes made containers: %v", made)
	}
	return ""
}
