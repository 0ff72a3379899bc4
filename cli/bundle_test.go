package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer"
	"davit/libcontainer/bundle"
	"davit/libcontainer/plan"
	"davit/nsenter"
)

func TestSpec(t *testing.T) {
	for _, args := range [][]string{{"spec"}, {"spec", "--rootless"}} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := davit(t, append(args, "--bundle", dir)...); code != 0 || out != "" || errs != "" {
			t.Fatalf("%v: exit %d, stdout %q, stderr %q", args, code, out, errs)
		}
		b, err := bundle.Load(dir) // checks it, too
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b.Raw, []byte("{\n\t\"ociVersion\": \"1.0.2\",\n\t\"process\": {\n\t\t\"terminal\": true,")) {
			t.Errorf("%s", b.Raw)
		}
		code, _, errs := davit(t, append(args, "-b", dir)...)
		if code != 1 || !strings.Contains(errs, "File config.json exists. Remove it first") {
			t.Errorf("%v: exit %d, stderr %q", args, code, errs)
		}
		if again, err := os.ReadFile(filepath.Join(dir, configName)); err != nil || !bytes.Equal(again, b.Raw) {
			t.Errorf("config.json was touched: %v", err)
		}
	}
}

func TestSpecKeepsLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("elsewhere", filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := davit(t, "spec", "-b", dir); code != 1 || !strings.Contains(errs, "exists") {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); !os.IsNotExist(err) {
		t.Errorf("a dangling link was followed: %v", err)
	}
	if code, _, errs := davit(t, "spec", "-b", filepath.Join(dir, "missing")); code != 1 || !strings.Contains(errs, "no such file") {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

func TestDefaultSpec(t *testing.T) {
	types := func(s *specs.Spec) (all []specs.LinuxNamespaceType) {
		for _, ns := range s.Linux.Namespaces {
			all = append(all, ns.Type)
		}
		return all
	}
	s := defaultSpec(false)
	if slices.Contains(types(s), specs.CgroupNamespace) || len(s.Mounts) != 7 || len(s.Linux.Resources.Devices) != 1 || s.Linux.Resources.Devices[0].Allow {
		t.Errorf("%+v", s.Linux)
	}
	if s = defaultSpec(true); !slices.Contains(types(s), specs.CgroupNamespace) {
		t.Errorf("%+v", s.Linux)
	}
	makeRootless(s, 1000, 100)
	if n := types(s); slices.Contains(n, specs.NetworkNamespace) || !slices.Contains(n, specs.UserNamespace) || s.Linux.Resources != nil {
		t.Errorf("%v", n)
	}
	if want := (specs.LinuxIDMapping{ContainerID: 0, HostID: 1000, Size: 1}); s.Linux.UIDMappings[0] != want || s.Linux.GIDMappings[0].HostID != 100 {
		t.Errorf("%v %v", s.Linux.UIDMappings, s.Linux.GIDMappings)
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "gid=5") || m.Type == "sysfs" {
			t.Errorf("%+v", m)
		}
	}
	if err := bundle.Check(s, "/"); err != nil && !strings.Contains(err.Error(), "root.path") {
		t.Error(err)
	}
}

func defaultBundle(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := davit(t, append([]string{"spec", "-b", dir}, args...)...); code != 0 {
		t.Fatal(errs)
	}
	return dir
}

// callersBundle is one that the caller may make a container of.
func callersBundle(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return defaultBundle(t, "--rootless")
	}
	return defaultBundle(t)
}

func TestExplain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can do without a user namespace, and explain says so")
	}
	dir := defaultBundle(t)
	code, out, errs := davit(t, "explain", dir)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, stderr %q", code, errs)
	}
	for _, want := range []string{
		"enter: ", "\nworld: ", "\nprocess: ", "clone  ", "flags=mount|pid|network|ipc|uts", "mounts[0] (/proc)", "target=/proc",
		"options=[mode=755 size=65536k]", "linux.maskedPaths[0]", "keep=KILL|NET_BIND_SERVICE|AUDIT_WRITE", "fifo=exec.fifo", "argv=[sh]",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q isn't in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "= ") || strings.Contains(out, "=\n") || strings.Contains(out, " \n") || strings.Contains(out, "\x1b") {
		t.Errorf("empty arguments, blanks or colours in:\n%s", out)
	}
}

func TestExplainJSON(t *testing.T) {
	code, out, errs := davit(t, "explain", "--format", "json", defaultBundle(t, "--rootless"))
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, stderr %q", code, errs)
	}
	var all []struct {
		Phase, Instruction, Field string
		Index                     int
		Args                      map[string]any
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	var phases []string
	seen := map[string]map[string]any{}
	for i, s := range all {
		if !slices.Contains(phases, s.Phase) {
			phases = append(phases, s.Phase)
		}
		if i > 0 && s.Index != all[i-1].Index+1 && !(s.Phase == phaseProcess && s.Index == 0) {
			t.Errorf("number %d after %d", s.Index, all[i-1].Index)
		}
		if _, ok := seen[s.Instruction]; !ok {
			seen[s.Instruction] = s.Args
		}
	}
	if !slices.Equal(phases, []string{phaseEnter, phaseWorld, phaseProcess}) {
		t.Errorf("phases %v", phases)
	}
	if m, ok := seen["wait"]["uid_map"].([]any); !ok || len(m) != 1 {
		t.Errorf("wait: %v", seen["wait"])
	}
	if argv, ok := seen["exec"]["argv"].([]any); !ok || len(argv) != 1 || argv[0] != "sh" {
		t.Errorf("exec: %v", seen["exec"])
	}
}

// TestExplainOptions takes the flags of create that change the program.
func TestExplainOptions(t *testing.T) {
	dir := callersBundle(t)
	explained := func(args ...string) string {
		code, out, errs := davit(t, append(append([]string{"explain"}, args...), dir)...)
		if code != 0 || errs != "" {
			t.Fatalf("%v: exit %d, stderr %q", args, code, errs)
		}
		return out
	}
	plain := explained()
	for _, flag := range []string{"--no-pivot", "--no-new-keyring", "--preserve-fds=2"} {
		if out := explained(flag); out == plain {
			t.Errorf("%s changes nothing", flag)
		}
	}
	if !strings.Contains(plain, "keyring") || strings.Contains(explained("--no-new-keyring"), "keyring") {
		t.Error("--no-new-keyring leaves a keyring")
	}
}

func TestExplainErrors(t *testing.T) {
	for _, args := range [][]string{{"explain", t.TempDir()}, {"explain", "--format", "yaml", "/"}} {
		if code, out, errs := davit(t, args...); code != 1 || out != "" || errs == "" {
			t.Errorf("%v: exit %d, stdout %q", args, code, out)
		}
	}
}

// TestExplainHostile keeps what a bundle says within its line.
func TestExplainHostile(t *testing.T) {
	evil := "x\n  0  exec\x1b[2J"
	e := &libcontainer.Explanation{
		World: nsenter.Program{
			{Field: evil, Op: nsenter.Hostname{Name: evil}},
			{Op: nsenter.Join{Fd: 0, Type: 0}},
			{Op: nsenter.LookUp{Paths: []string{evil, "", "a b"}}},
		},
		Files: []plan.FileRef{{Kind: plan.Namespace, Path: evil}},
	}
	var b bytes.Buffer
	if err := printSteps(&b, explain(e)); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if !printable(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%q", line)
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 4 {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
}

// TestStepTable lays rows out for terminals of two widths.
func TestStepTable(t *testing.T) {
	s := step{instr: nsenter.Instr{Field: "mounts[0]", Op: nsenter.Hostname{}}, index: 7, args: []argument{
		{name: "target", text: "/proc"}, {name: "type", text: "proc"}, {name: "source", text: "a-long-name"}}}
	for _, tt := range []struct {
		columns, field int
		want           string
	}{
		{0, 9, "  7  hostname  mounts[0]  target=/proc  type=proc  source=a-long-name\n"},
		{200, 9, "  7  hostname  mounts[0]  target=/proc  type=proc  source=a-long-name\n"},
		{55, 9, "  7  hostname  mounts[0]  target=/proc  type=proc\n                          source=a-long-name\n"},
		{40, 0, "  7  hostname  target=/proc  type=proc\n               source=a-long-name\n               <- mounts[0]\n"},
		{10, 0, "  7  hostname  target=/proc\n               type=proc\n               source=a-long-name\n               <- mounts[0]\n"},
	} {
		table := &stepTable{columns: tt.columns, word: 8, field: tt.field}
		table.row(&s)
		if got := table.String(); got != tt.want {
			t.Errorf("%d columns:\n%s", tt.columns, got)
		}
	}
}
