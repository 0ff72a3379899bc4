package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer"
	"davit/libcontainer/plan"
	"davit/nsenter"
)

func explainCommand(a *app) *urfave.Command {
	var format, bundle string
	var opts libcontainer.CreateOptions
	return &urfave.Command{
		ArgsUsage: "[BUNDLE]",
		Description: `Shows what "davit create" would do with a bundle, by default the one in the working directory, on this host: the program that runs inside of the new namespaces, each instruction with the field of config.json that it comes from. Nothing is done, and no privilege is needed.

The program has three phases: "enter" makes or joins the namespaces, "world" builds what the process will see, "process" gives it its credentials and executes it. Numbers count within what is sent to the container in one go.

EXAMPLES
davit explain
davit explain /srv/web | grep mounts
davit explain --format json /srv/web | jq -r '.[].instruction' | sort | uniq -c`,
		Flags: append([]urfave.Flag{
			bundleFlag(&bundle),
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "print as `table|json`", Value: "table", Destination: &format},
		}, worldFlags(&opts)...),
		Action: a.action(0, 1, func(args []string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("invalid format option %q: choose table or json", format)
			}
			dir, err := bundleArg(args, bundle)
			if err != nil {
				return err
			}
			rt, err := a.global.cgroups()
			if err != nil {
				return err
			}
			// The id isn't known; it shows in names of cgroups and the keyring.
			e, err := libcontainer.Explain(dir, "ID", &opts, rt)
			if err != nil {
				return err
			}
			for _, w := range e.Warnings {
				a.log.Warn(w.String())
			}
			steps := explain(e)
			if format == "json" {
				return printStepsJSON(a.stdout, steps)
			}
			return printSteps(a.stdout, steps)
		}),
	}
}

// step is an instruction, explained.
type step struct {
	phase string
	index int
	instr nsenter.Instr
	args  []argument
}

// argument is an operand in words and as a JSON value.
type argument struct {
	name, text string
	value      any
}

// Phases of the program.
const (
	phaseEnter   = "enter"
	phaseWorld   = "world"
	phaseProcess = "process"
)

func explain(e *libcontainer.Explanation) []step {
	steps := make([]step, 0, len(e.World)+len(e.Process))
	phase := phaseEnter
	for i, in := range e.World {
		if phase == phaseEnter && !enters(in.Op) {
			phase = phaseWorld
		}
		steps = append(steps, explainInstr(e, phase, i, in))
	}
	for i, in := range e.Process {
		steps = append(steps, explainInstr(e, phaseProcess, i, in))
	}
	return steps
}

// enters tells whether an instruction is of the way into the namespaces.
func enters(op nsenter.Op) bool {
	switch op := op.(type) {
	case nsenter.OOMScore, nsenter.RaiseLimit, nsenter.Dumpable, nsenter.Join, nsenter.Clone, nsenter.BecomeRoot:
		return true
	case nsenter.Wait:
		return nsenter.Token(op.Token) == nsenter.TokenMapped
	}
	return false
}

func explainInstr(e *libcontainer.Explanation, phase string, index int, in nsenter.Instr) step {
	s := step{phase: phase, index: index, instr: in}
	for _, arg := range in.Op.Args() {
		if a := explainArg(e, arg); a.text != "" {
			s.args = append(s.args, a)
		}
	}
	if w, ok := in.Op.(nsenter.Wait); ok && nsenter.Token(w.Token) == nsenter.TokenMapped && e.Mappings != nil {
		// This is what davit does meanwhile.
		s.args = append(s.args, mappingArg("uid_map", e.Mappings, true), mappingArg("gid_map", e.Mappings, false))
	}
	return s
}

func explainArg(e *libcontainer.Explanation, arg nsenter.Arg) argument {
	a := argument{name: arg.Name, text: arg.String()}
	a.value = a.text
	switch v := arg.Value.(type) {
	case string:
		a.text = quoted(v)
	case []string:
		if len(v) == 0 {
			a.text = ""
			break
		}
		words := make([]string, len(v))
		for i := range v {
			words[i] = quoted(v[i])
		}
		a.text, a.value = "["+strings.Join(words, " ")+"]", v
	case nsenter.Slot:
		if v >= 0 && int(v) < len(e.Files) {
			a.text = fileName(&e.Files[v])
			a.value = a.text
		}
	case uint64:
		switch arg.Show {
		case nsenter.ShowDec:
			a.value = v
		case nsenter.ShowBool:
			a.value = v != 0
		case nsenter.ShowCapSet:
			a.text = capabilityNames(v)
			a.value = a.text
		}
	}
	return a
}

// quoted leaves words as they are and quotes what isn't one.
func quoted(s string) string {
	if strings.ContainsAny(s, " []\"'\\") || string(appendVisible(nil, s)) != s {
		return strconv.Quote(s)
	}
	return s
}

func fileName(f *plan.FileRef) string {
	switch f.Kind {
	case plan.Namespace:
		return quoted(f.Path)
	case plan.CgroupDir:
		return "(the container's cgroup)"
	case plan.ExecFifo:
		return "exec.fifo"
	case plan.InitPidfd:
		return "(the container's init)"
	case plan.MountClone:
		return "(a clone of the mount)"
	case plan.UserNamespace:
		return "(a user namespace with the mount's mappings)"
	}
	return "(unknown)"
}

func capabilityNames(set uint64) string {
	all := plan.Capabilities()
	var names []string
	for i, n := range all {
		if set&(1<<i) != 0 {
			names = append(names, strings.TrimPrefix(n, "CAP_"))
		}
	}
	switch len(names) {
	case 0:
		return "none"
	case len(all):
		return "all"
	}
	return strings.Join(names, "|")
}

func mappingArg(file string, m *plan.Mappings, uids bool) argument {
	list := m.GIDs
	if uids {
		list = m.UIDs
	}
	lines := make([]string, len(list))
	for i, id := range list {
		lines[i] = fmt.Sprintf("%d:%d:%d", id.ContainerID, id.HostID, id.Size)
	}
	return argument{name: file, text: strings.Join(lines, ","), value: lines}
}

// printStepsJSON prints an array of {phase, index, instruction, args, field}.
func printStepsJSON(w io.Writer, steps []step) error {
	type object struct {
		Phase       string         `json:"phase"`
		Index       int            `json:"index"`
		Instruction string         `json:"instruction"`
		Args        map[string]any `json:"args"`
		Field       string         `json:"field"`
	}
	all := make([]object, len(steps))
	for i, s := range steps {
		all[i] = object{s.phase, s.index, s.instr.Op.Word(), make(map[string]any, len(s.args)), s.instr.Field}
		for _, a := range s.args {
			all[i].Args[a.name] = a.value
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}
