package cli

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v3"
)

// parsed is what a command line came to.
type parsed struct {
	command string
	args    []string
	flags   map[string]any // those that were set, global ones included
}

// parse runs a command line up to the point where the command would act.
func parse(t *testing.T, args ...string) (*parsed, error) {
	t.Helper()
	a := &app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	var got *parsed
	root := a.tree(append([]string{name}, args...))
	for _, cmd := range root.Commands {
		cmd.Action = func(_ context.Context, cmd *urfave.Command) error {
			got = &parsed{command: cmd.Name, args: cmd.Args().Slice(), flags: map[string]any{}}
			for _, f := range append(slices.Clone(root.Flags), cmd.Flags...) {
				if f.IsSet() {
					got.flags[f.Names()[0]] = f.Get()
				}
			}
			return nil
		}
	}
	err := root.Run(t.Context(), append([]string{name}, args...))
	return got, err
}

// TestCallForms has the calls that engines were seen to make, and the ways a flag can be written.
func TestCallForms(t *testing.T) {
	shim := "--root /run/containerd/ns --log /b/log.json --log-format json --systemd-cgroup "
	shimFlags := func(more map[string]any) map[string]any {
		m := map[string]any{"root": "/run/containerd/ns", "log": "/b/log.json", "log-format": "json", "systemd-cgroup": true}
		maps.Copy(m, more)
		return m
	}
	for _, tt := range []struct {
		line    string
		command string
		args    string
		flags   map[string]any
	}{
		// containerd's shim
		{shim + "create --bundle /b --pid-file /b/init.pid --console-socket /s --no-pivot ID", "create", "ID",
			shimFlags(map[string]any{"bundle": "/b", "pid-file": "/b/init.pid", "console-socket": "/s", "no-pivot": true})},
		{shim + "start ID", "start", "ID", shimFlags(nil)},
		{shim + "kill ID 15", "kill", "ID 15", shimFlags(nil)},
		{shim + "kill --all ID 9", "kill", "ID 9", shimFlags(map[string]any{"all": true})},
		{shim + "delete ID", "delete", "ID", shimFlags(nil)},
		{shim + "delete --force ID", "delete", "ID", shimFlags(map[string]any{"force": true})},
		{shim + "state ID", "state", "ID", shimFlags(nil)},
		{shim + "--rootless=true list --format=json", "list", "", shimFlags(map[string]any{"rootless": "true", "format": "json"})},
		{shim + "create --bundle /b --no-new-keyring --preserve-fds 2 ID", "create", "ID",
			shimFlags(map[string]any{"bundle": "/b", "no-new-keyring": true, "preserve-fds": 2})},
		// conmon and podman
		{"--log-format=json --log=/l --systemd-cgroup create --bundle /b --pid-file /p --console-socket /s ID", "create", "ID",
			map[string]any{"log-format": "json", "log": "/l", "systemd-cgroup": true, "bundle": "/b", "pid-file": "/p", "console-socket": "/s"}},
		{"--log-format=json --log /l --cgroup-manager disabled create --bundle /b --pid-file /p ID", "create", "ID",
			map[string]any{"log-format": "json", "log": "/l", "cgroup-manager": "disabled", "bundle": "/b", "pid-file": "/p"}},
		{"kill ID 9", "kill", "ID 9", nil},
		{"delete --force ID", "delete", "ID", map[string]any{"force": true}},
		// buildah
		{"--debug create --bundle /b --pid-file /p --no-new-keyring ID", "create", "ID",
			map[string]any{"debug": true, "bundle": "/b", "pid-file": "/p", "no-new-keyring": true}},
		{"state ID", "state", "ID", nil},
		// CRI-O
		{"--root=/r kill ID KILL", "kill", "ID KILL", map[string]any{"root": "/r"}},
		{"--root /r state ID", "state", "ID", map[string]any{"root": "/r"}},
		// the same flag in other clothes
		{"create -b /b ID", "create", "ID", map[string]any{"bundle": "/b"}},
		{"create -b=/b ID", "create", "ID", map[string]any{"bundle": "/b"}},
		{"create -bundle /b ID", "create", "ID", map[string]any{"bundle": "/b"}},
		{"create -bundle=/b ID", "create", "ID", map[string]any{"bundle": "/b"}},
		{"create --bundle=/b=c ID", "create", "ID", map[string]any{"bundle": "/b=c"}},
		{"run -d -no-subreaper --keep --bundle /b ID", "run", "ID",
			map[string]any{"detach": true, "no-subreaper": true, "keep": true, "bundle": "/b"}},
		{"run --detach=false ID", "run", "ID", map[string]any{"detach": false}},
		{"create --preserve-fds=3 ID", "create", "ID", map[string]any{"preserve-fds": 3}},
		// flags behind arguments
		{"create ID --bundle /b --pid-file=/p", "create", "ID", map[string]any{"bundle": "/b", "pid-file": "/p"}},
		{"delete ID --force", "delete", "ID", map[string]any{"force": true}},
		{"delete ID -f", "delete", "ID", map[string]any{"force": true}},
		{"kill ID KILL --all", "kill", "ID KILL", map[string]any{"all": true}},
		{"kill ID -a 9", "kill", "ID 9", map[string]any{"all": true}},
		{"list -q -f json", "list", "", map[string]any{"quiet": true, "format": "json"}},
		{"state ID --root /r", "state", "ID", map[string]any{"root": "/r"}},
		// the two flags of the same name
		{"spec --rootless", "spec", "", map[string]any{"rootless": true}},
		{"--rootless false spec", "spec", "", map[string]any{"rootless": "false"}},
		// names of commands as values and ids
		{"--root create state list", "state", "list", map[string]any{"root": "create"}},
		{"state help", "state", "help", nil},
		{"state h", "state", "h", nil},
		{"start start", "start", "start", nil},
		{"--log state --debug delete kill", "delete", "kill", map[string]any{"log": "state", "debug": true}},
		{shim + "pause ID", "pause", "ID", shimFlags(nil)},
		{shim + "resume ID", "resume", "ID", shimFlags(nil)},
		{shim + "update --resources - ID", "update", "ID", shimFlags(map[string]any{"resources": "-"})},
		{"update --resources=/f ID", "update", "ID", map[string]any{"resources": "/f"}},
		{"update -r - ID", "update", "ID", map[string]any{"resources": "-"}},
		{"update ID --memory -1 --cpu-quota -1 --cpuset-cpus 0,2", "update", "ID", map[string]any{"memory": "-1", "cpu-quota": "-1", "cpuset-cpus": "0,2"}},
		{shim + "events --stats ID", "events", "ID", shimFlags(map[string]any{"stats": true})},
		{shim + "events --interval=2s ID", "events", "ID", shimFlags(map[string]any{"interval": 2 * time.Second})},
		// what is behind the id is another program's
		{shim + "ps --format json ID", "ps", "ID", shimFlags(map[string]any{"format": "json"})},
		{"ps --format table ID -e -f --format x", "ps", "ID -e -f --format x", map[string]any{"format": "table"}},
		{"ps ID -- aux --help", "ps", "ID aux --help", nil},
		// what looks like a flag
		{"kill ID -9", "kill", "ID -9", nil},
		{"create -- -id", "create", "-id", nil},
		{"explain", "explain", "", nil},
		{"explain -f json /b", "explain", "/b", map[string]any{"format": "json"}},
	} {
		got, err := parse(t, strings.Fields(tt.line)...)
		if err != nil || got == nil {
			t.Errorf("%s: %v, %v", tt.line, got, err)
			continue
		}
		if got.command != tt.command || strings.Join(got.args, " ") != tt.args || !maps.Equal(got.flags, tt.flags) {
			t.Errorf("%s:\n got %s %q %v\nwant %s %q %v", tt.line, got.command, got.args, got.flags, tt.command, tt.args, tt.flags)
		}
	}
}

func TestEmptyArguments(t *testing.T) {
	got, err := parse(t, "create", "--bundle", "", "--pid-file=", "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.args, []string{""}) || got.flags["bundle"] != "" || got.flags["pid-file"] != "" {
		t.Errorf("got %q %v", got.args, got.flags)
	}
}

// TestExamples parses every example of the help: what is taught must work.
func TestExamples(t *testing.T) {
	for _, e := range commands() {
		a := &app{}
		_, examples, ok := strings.Cut(a.build(e).Description, examplesMark)
		if !ok {
			t.Errorf("%s: no examples", e.name)
		}
		calls := 0
		for line := range strings.Lines(examples) {
			for part := range strings.SplitSeq(line, "|") {
				words := strings.Fields(part)
				if i := slices.Index(words, name); i >= 0 && !strings.HasPrefix(line, "#") {
					calls++
					call := words[i+1:]
					if slices.Contains(words, "xargs") {
						call = append(call, "ID")
					}
					if got, err := parse(t, call...); err != nil || got == nil {
						t.Errorf("%s: example %q: %v, %v", e.name, line, got, err)
					}
				}
			}
		}
		if calls == 0 {
			t.Errorf("%s: no example of a call", e.name)
		}
	}
}

// BenchmarkParse is what the command line adds to every call.
func BenchmarkParse(b *testing.B) {
	args := strings.Fields("davit --root /r --log /l --log-format json state ID")
	for b.Loop() {
		a := &app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
		root := a.tree(args)
		root.Commands[0].Action = func(context.Context, *urfave.Command) error { return nil }
		if err := root.Run(b.Context(), args); err != nil {
			b.Fatal(err)
		}
	}
}
