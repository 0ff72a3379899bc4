package bundle

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// noKernelString lists the strings of specs.Spec that may hold a NUL byte for
// all that strings.go cares: they never reach the kernel, or only through a
// table of known words.
var noKernelString = []string{
	"ociVersion", "annotations", "solaris", "windows", "vm", "zos", "freebsd",
	"process.commandLine", "process.user.username", "process.capabilities", "process.rlimits[0].type",
	"process.scheduler", "process.ioPriority", "process.execCPUAffinity",
	"linux.namespaces[0].type", "linux.devices[0].type", "linux.rootfsPropagation", "linux.timeOffsets",
	"linux.personality", "linux.memoryPolicy",
	"linux.resources.devices[0]", "linux.resources.cpu", "linux.resources.hugepageLimits[0].pageSize",
	"linux.seccomp.defaultAction", "linux.seccomp.architectures", "linux.seccomp.flags", "linux.seccomp.listenerMetadata",
	"linux.seccomp.syscalls[0].action", "linux.seccomp.syscalls[0].args",
}

// TestNULEverywhere puts a NUL byte into every string of the types in turn, so
// that a field new in the spec can't be forgotten.
func TestNULEverywhere(t *testing.T) {
	kernel := 0
	for i := 0; ; i++ {
		var spec specs.Spec
		f := filler{target: i}
		f.fill(reflect.ValueOf(&spec).Elem(), "")
		if f.hit == "" {
			break
		}
		var c checker
		c.specStrings(&spec)
		exempt := false
		for _, prefix := range noKernelString {
			exempt = exempt || strings.HasPrefix(f.hit, prefix)
		}
		switch {
		case exempt && len(c.errs) != 0:
			t.Errorf("%s: unexpected %v", f.hit, c.errs)
		case exempt:
		case len(c.errs) != 1 || c.errs[0].Path != f.hit || !strings.Contains(c.errs[0].Reason, "NUL"):
			t.Errorf("%s: got %v", f.hit, c.errs)
		default:
			kernel++
		}
	}
	if kernel < 40 {
		t.Errorf("only %d strings were seen", kernel)
	}
}

// filler sets up a value with one element in everything. The string number
// target has a NUL byte, and hit is its path then.
type filler struct {
	target, count int
	hit           string
}

func (f *filler) text(path string) string {
	f.count++
	if f.count-1 == f.target {
		f.hit = path
		return "a\x00b"
	}
	return "x"
}

func (f *filler) fill(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), path+"[0]")
	case reflect.Map:
		before := f.hit
		key := f.text(path)
		path += "[" + strconv.Quote(key) + "]"
		if f.hit != before {
			f.hit = path
		}
		value := reflect.New(v.Type().Elem()).Elem()
		f.fill(value, path)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(key), value)
	case reflect.String:
		v.SetString(f.text(path))
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !field.Anonymous && path != "" {
				name = "." + name
			}
			f.fill(v.Field(i), path+name)
		}
	}
}

// A NUL byte is found by Parse already, where JSON has it as an escape.
func TestParseNUL(t *testing.T) {
	runBroken(t, []broken{
		{`root.path = "a\u0000b"`, "root.path", "NUL"},
		{`process.args[0] = "sh\u0000"`, "process.args[0]", "NUL"},
		{`mounts[2].options[1] = "\u0000"`, "mounts[2].options[1]", "NUL"},
		{`linux.sysctl = {"net.a": "1\u0000"}`, `linux.sysctl["net.a"]`, "NUL"},
		{`linux.namespaces[0].path = "/proc/1/ns/pid\u0000"`, "linux.namespaces[0].path", "NUL"},
		{`linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read\u0000x"], "action": "SCMP_ACT_KILL"}]}`, "linux.seccomp.syscalls[0].names[0]", "NUL"},
		{`hooks.poststop = [{"path": "/h", "env": ["a\u0000"]}]`, "hooks.poststop[0].env[0]", "NUL"},
	})
	runValid(t, []valid{
		`annotations = {"a": "\u0000"} && unknown = "\u0000"`,
		`process.args[1] = "\\u0000"`,
	})
	raw := change(t, `hostname = "a\u0000"`)
	if _, err := Parse(raw); err == nil {
		t.Error("Parse takes it")
	} else if _, ok := errors.AsType[Errors](err); !ok {
		t.Errorf("got %T", err)
	}
}

// Check must find what Parse found, for a spec that was never JSON.
func TestCheckNUL(t *testing.T) {
	raw, err := os.ReadFile("testdata/base.json")
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	spec.Hostname = "a\x00"
	found, _ := errors.AsType[*Error](Check(&spec, "/bundle"))
	if found == nil || found.Path != "hostname" {
		t.Errorf("got %v", found)
	}
}
