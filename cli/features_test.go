package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"davit/libcontainer"
	"davit/libcontainer/bundle"
	"davit/nsenter"
)

func TestFeatures(t *testing.T) {
	code, out, errs := davit(t, "features")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1.3.0\",\n    \"hooks\": [\n        \"prestart\",\n") || !strings.HasSuffix(out, "\n}\n") {
		t.Fatalf("exit %d, stderr %q, stdout:\n%s", code, errs, out)
	}
	var f features.Features
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]string{"hooks": f.Hooks, "mountOptions": f.MountOptions, "namespaces": f.Linux.Namespaces, "capabilities": f.Linux.Capabilities} {
		sorted := slices.Sorted(slices.Values(list))
		if len(list) == 0 || len(slices.Compact(sorted)) != len(list) {
			t.Errorf("%s: %v", name, list)
		}
	}
	if f.Annotations[annotationVersion] == "" || f.Annotations[annotationCommit] == "" {
		t.Errorf("%v", f.Annotations)
	}
	for _, v := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		if err := bundle.CheckProcess(&specs.Process{Args: []string{"x"}, Cwd: "/"}, v); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
}

// explainBundle compiles the default configuration with a change to it.
func explainBundle(t *testing.T, change func(*specs.Spec)) (*libcontainer.Explanation, error) {
	t.Helper()
	dir := callersBundle(t)
	file := filepath.Join(dir, configName)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	spec.Version = specs.Version
	change(&spec)
	if raw, err = json.Marshal(&spec); err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return libcontainer.Explain(dir, "ID", &libcontainer.CreateOptions{}, libcontainer.Options{})
}

// TestMountOptions compares the list with what the compiler takes, over all the options that config.md has a meaning for.
func TestMountOptions(t *testing.T) {
	listed := mountOptions()
	all := append(slices.Clone(listed), "nothing-of-the-kind")
	for _, opt := range all {
		m := specs.Mount{Destination: "/x", Type: "tmpfs", Source: "tmpfs", Options: []string{opt}}
		switch {
		case opt == "bind" || opt == "rbind":
			m.Source = "/"
		case opt == "remount":
			m.Destination, m.Options = "/dev/shm", []string{opt, "ro"}
		case (opt == "idmap" || opt == "ridmap") && os.Geteuid() != 0:
			continue // refused to ordinary users, who can't map mounts
		case opt == "idmap" || opt == "ridmap":
			m.Source, m.Options = "/", []string{"rbind", opt}
			m.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}}
			m.GIDMappings = m.UIDMappings
		}
		e, err := explainBundle(t, func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) })
		taken := err == nil && !slices.ContainsFunc(e.World, func(in nsenter.Instr) bool {
			op, ok := in.Op.(nsenter.Mount)
			return ok && slices.Contains(op.Options, opt)
		})
		if taken != slices.Contains(listed, opt) {
			t.Errorf("%s: taken %t, listed %t (%v)", opt, taken, !taken, err)
		}
	}
	for _, opt := range tableOfMountOptions(t) {
		if !slices.Contains(all, opt) {
			t.Errorf("%s: is in config.md and neither taken nor refused", opt)
		}
	}
}

// specification returns the directory of the specification's text.
func specification(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command, which finds the specification's text in the module cache")
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("the go command doesn't find the specification's text, although the test was built with its module: %v", err)
	}
	return dir
}

func tableOfMountOptions(t *testing.T) (options []string) {
	text, err := os.ReadFile(filepath.Join(specification(t), "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^ *`([a-z]+)` +\\| +(MUST|SHOULD|MAY) ").FindAllSubmatch(text, -1) {
		options = append(options, string(m[1]))
	}
	if len(options) < 40 {
		t.Fatalf("config.md's table of mount options isn't what it was: %v", options)
	}
	return options
}

// TestFeaturesAreTrue compiles a configuration with each namespace and memory policy.
func TestFeaturesAreTrue(t *testing.T) {
	f := allFeatures().Linux
	if len(f.Namespaces) != 8 {
		t.Errorf("namespaces: %v", f.Namespaces)
	}
	for _, ns := range f.Namespaces {
		if _, err := explainBundle(t, func(s *specs.Spec) {
			if !slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return string(n.Type) == ns }) {
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(ns)})
			}
			if ns == "user" && s.Linux.UIDMappings == nil {
				s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1000}}
				s.Linux.GIDMappings = s.Linux.UIDMappings
			}
		}); err != nil {
			t.Errorf("namespace %s: %v", ns, err)
		}
	}
	for _, mode := range f.MemoryPolicy.Modes {
		nodes := "0"
		if mode == string(specs.MpolDefault) || mode == string(specs.MpolLocal) {
			nodes = ""
		}
		if _, err := explainBundle(t, func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(mode), Nodes: nodes}
		}); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	for _, flag := range f.MemoryPolicy.Flags {
		if _, err := explainBundle(t, func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MemoryPolicyFlagType(flag)}}
		}); err != nil {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// TestFeaturesSchema validates the document by the specification's JSON schema.
func TestFeaturesSchema(t *testing.T) {
	_, out, _ := davit(t, "features")
	var document any
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatal(err)
	}
	v := &validator{t: t, dir: filepath.Join(specification(t), "schema"), files: map[string]any{}}
	if faults := v.check("$", document, v.file("features-schema.json"), "features-schema.json"); len(faults) > 0 {
		t.Errorf("%s", strings.Join(faults, "\n"))
	}
	// It does find faults.
	broken := map[string]any{"ociVersionMin": 1.0, "linux": map[string]any{"capabilities": []any{"chown"}, "cgroup": map[string]any{"v1": "yes"}, "seccomp": map[string]any{"actions": []any{"SCMP_ACT_MAYBE"}}}}
	if faults := v.check("$", broken, v.file("features-schema.json"), "features-schema.json"); len(faults) != 5 {
		t.Errorf("%d faults in a broken document: %v", len(faults), faults)
	}
}

// validator knows as much of JSON Schema (draft 4) as the specification's schemas of features use.
type validator struct {
	t     *testing.T
	dir   string
	files map[string]any
}

func (v *validator) file(name string) any {
	if v.files[name] == nil {
		raw, err := os.ReadFile(filepath.Join(v.dir, name))
		if err != nil {
			v.t.Fatal(err)
		}
		var schema any
		if err := json.Unmarshal(raw, &schema); err != nil {
			v.t.Fatal(err)
		}
		v.files[name] = schema
	}
	return v.files[name]
}

func (v *validator) check(at string, value, schema any, file string) (faults []string) {
	rules := schema.(map[string]any)
	fault := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	for keyword, rule := range rules {
		switch keyword {
		case "$ref":
			name, pointer, _ := strings.Cut(rule.(string), "#/")
			if name == "" {
				name = file
			}
			target := v.file(name)
			for part := range strings.SplitSeq(pointer, "/") {
				target = target.(map[string]any)[part]
			}
			faults = append(faults, v.check(at, value, target, name)...)
		case "type":
			if got := kindOf(value); got != rule {
				fault("is of type %s, not %s", got, rule)
			}
		case "enum":
			if !slices.Contains(rule.([]any), value) {
				fault("%v is not one of %v", value, rule)
			}
		case "pattern":
			if s, ok := value.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(s) {
				fault("%q doesn't match %s", s, rule)
			}
		case "required":
			for _, name := range rule.([]any) {
				if object, ok := value.(map[string]any); ok && object[name.(string)] == nil {
					fault("%s is missing", name)
				}
			}
		case "items":
			list, _ := value.([]any)
			for i, item := range list {
				faults = append(faults, v.check(fmt.Sprintf("%s[%d]", at, i), item, rule, file)...)
			}
		case "properties":
			object, _ := value.(map[string]any)
			for name, member := range object {
				if s, ok := rule.(map[string]any)[name]; ok {
					faults = append(faults, v.check(at+"."+name, member, s, file)...)
				}
			}
		case "patternProperties":
			object, _ := value.(map[string]any)
			for pattern, s := range rule.(map[string]any) {
				for name, member := range object {
					if regexp.MustCompile(pattern).MatchString(name) {
						faults = append(faults, v.check(at+"."+name, member, s, file)...)
					}
				}
			}
		case "description", "$schema", "minItems", "id":
		default:
			v.t.Fatalf("%s: keyword %s isn't known here", file, keyword)
		}
	}
	return faults
}

func kindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		return "number"
	}
	return "null"
}
