package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// davit runs a command line as main does.
func davit(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(append([]string{name}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// emptyRoot is a state directory that holds nothing.
func emptyRoot(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct{ line, text, usage string }{
		{"create", `davit: "create" requires exactly 1 argument(s)`, "davit create [options] ID"},
		{"create a b", `davit: "create" requires exactly 1 argument(s)`, "davit create"},
		{"run", `davit: "run" requires exactly 1 argument(s)`, "davit run"},
		{"start", `davit: "start" requires a minimum of 1 argument(s)`, "davit start [options] ID [PROCESS]"},
		{"state", `davit: "state" requires exactly 1 argument(s)`, "davit state ID"},
		{"delete", `davit: "delete" requires exactly 1 argument(s)`, "davit delete"},
		{"kill", `davit: "kill" requires a minimum of 1 argument(s)`, "davit kill ID [SIGNAL]"},
		{"kill a 9 b", `davit: "kill" requires a maximum of 2 argument(s)`, "davit kill"},
		{"pause", `davit: "pause" requires exactly 1 argument(s)`, "davit pause ID"},
		{"resume a b", `davit: "resume" requires exactly 1 argument(s)`, "davit resume ID"},
		{"update --memory 1M", `davit: "update" requires exactly 1 argument(s)`, "davit update [options] ID"},
		{"update --memory", "davit update: flag needs an argument: --memory", "davit update"},
		{"events", `davit: "events" requires exactly 1 argument(s)`, "davit events [options] ID"},
		{"ps", `davit: "ps" requires a minimum of 1 argument(s)`, "davit ps [options] ID [PS-OPTION...]"},
		{"features a", `davit: "features" requires exactly 0 argument(s)`, "davit features"},
		{"completion", `davit: "completion" requires exactly 1 argument(s)`, "davit completion bash|zsh|fish"},
		{"list a", `davit: "list" requires exactly 0 argument(s)`, "davit list"},
		{"explain a b", `davit: "explain" requires a maximum of 1 argument(s)`, "davit explain"},
		{"creat a", `unknown command "creat"; did you mean "create"?`, "davit [global options]"},
		{"lst", `unknown command "lst"; did you mean "list"?`, "davit"},
		{"frobnicate", `unknown command "frobnicate"`, "davit"},
		{"help frobnicate", `unknown command "frobnicate"`, "davit"},
		{"create --bundel /b a", `davit create: unknown flag "--bundel"; did you mean "bundle"?`, "davit create"},
		{"create --zzzzzzzz a", `davit create: unknown flag "--zzzzzzzz"`, "davit create"},
		{"create -x a", `davit create: unknown flag "-x"`, "davit create"},
		{"--rot /r state a", `davit: unknown flag "--rot"; did you mean "root"?`, "davit [global options]"},
		{"create --bundle", "davit create: flag needs an argument: --bundle", "davit create"},
		{"create --preserve-fds x a", `davit create: invalid value "x" for flag -preserve-fds`, "davit create"},
		{"create --preserve-fds -1 a", `can't be negative`, "davit create"},
		{"--log-format xml state a", `choose text or json`, "davit"},
		{"--rootless maybe state a", `choose true, false or auto`, "davit"},
		{"--cgroup-manager none state a", `choose cgroupfs, systemd or disabled`, "davit"},
		{"--systemd-cgroup --cgroup-manager cgroupfs state a", `--systemd-cgroup contradicts --cgroup-manager cgroupfs`, "davit"},
		{"delete --force=maybe a", `invalid value "maybe" for flag -force`, "davit delete"},
	} {
		code, out, errs := davit(t, strings.Fields(tt.line)...)
		plain := strings.ReplaceAll(errs, `\"`, `"`)
		if code != 1 || out != "" || !strings.Contains(plain, tt.text) || !strings.Contains(errs, "Usage: "+tt.usage) {
			t.Errorf("%s: exit %d, stdout %q, stderr:\n%s", tt.line, code, out, errs)
		}
	}
}

func TestNoArguments(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main(nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "Usage: davit") || errs.Len() > 0 {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out.String(), errs.String())
	}
}

// TestMissingContainer holds on to the words that engines look for.
func TestMissingContainer(t *testing.T) {
	root := emptyRoot(t)
	for _, line := range []string{"state ID", "start ID", "kill ID", "kill --all ID 9", "delete ID", "pause ID", "resume ID", "update --memory 1M ID", "events ID", "events --stats ID", "stats ID", "ps ID", "ps -f json ID"} {
		code, out, errs := davit(t, append([]string{"--root", root}, strings.Fields(line)...)...)
		if code != 1 || out != "" || !strings.Contains(errs, "container does not exist") || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, code, out, errs)
		}
	}
	if code, out, errs := davit(t, "--root", root, "delete", "--force", "ID"); code != 0 || out != "" || errs != "" {
		t.Errorf("delete --force: exit %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestPrefixes(t *testing.T) {
	root, bundle := emptyRoot(t), t.TempDir()
	for _, command := range []string{"create", "run"} {
		code, _, errs := davit(t, "--root", root, command, "--bundle", bundle, "ID")
		if code != 1 || !strings.Contains(errs, `msg="davit `+command+` failed: JSON specification file config.json not found`) {
			t.Errorf("%s: exit %d, stderr %q", command, code, errs)
		}
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestLogFile is what containerd reads, and what conmon does.
func TestLogFile(t *testing.T) {
	root := emptyRoot(t)
	file := filepath.Join(t.TempDir(), "log.json")
	for range 2 {
		code, _, errs := davit(t, "--root", root, "--log", file, "--log-format", "json", "state", "ID")
		if code != 1 || !strings.HasPrefix(errs, `container does not exist: "ID"`) || strings.Count(errs, "\n") != 1 {
			t.Errorf("exit %d, stderr %q", code, errs)
		}
	}
	code, _, _ := davit(t, "--log", file, "--log-format", "json", "create", "--bogus")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != 3 || !strings.Contains(lines[2], "--bogus") {
		t.Fatalf("%d lines:\n%s", len(lines), b)
	}
	for _, l := range lines {
		var line struct{ Level, Msg, Time string }
		if err := json.Unmarshal([]byte(l), &line); err != nil || line.Level != "error" || line.Msg == "" || line.Time == "" {
			t.Errorf("%s: %v", l, err)
		}
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm()&^0o644 != 0 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

func TestUnwritableLog(t *testing.T) {
	code, _, errs := davit(t, "--root", emptyRoot(t), "--log", filepath.Join(t.TempDir(), "no", "dir"), "list")
	if code != 1 || !strings.Contains(errs, "--log: open ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

func TestBadRoot(t *testing.T) {
	code, _, errs := davit(t, "--root", "/", "list")
	if code != 1 || !strings.Contains(errs, "Option --root argument should not be set to /") {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

// TestVersion reads it the way go-runc does.
func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"--version"}, {"-v"}, {"version"}, {"--version", "state", "ID"}} {
		code, out, errs := davit(t, args...)
		lines := strings.Split(out, "\n")
		if code != 0 || errs != "" || len(lines) < 4 {
			t.Fatalf("%v: exit %d, stdout %q, stderr %q", args, code, out, errs)
		}
		if _, v, ok := strings.Cut(lines[0], "version "); !ok || v == "" {
			t.Errorf("first line %q", lines[0])
		}
		for i, key := range []string{"commit", "spec", "go"} {
			if v, ok := strings.CutPrefix(lines[i+1], key+": "); !ok || v == "" {
				t.Errorf("line %q", lines[i+1])
			}
		}
	}
}
