package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/bundle"
	"davit/libcontainer/landlock"
	"davit/nsenter"
)

// FuzzCompile: whatever the configuration and the host, there is no panic; an
// error names a field; and what has passed the check can be sent to the stage.
//
// The data steers edits of the default configuration, so that what comes out is
// JSON, often close to a valid configuration, in every member that there is.
func FuzzCompile(f *testing.F) {
	for i := range 16 {
		f.Add([]byte{byte(i), byte(17 * i), byte(91 * i), 3, byte(i), 200, byte(5 * i), 7}, uint8(31*i))
	}
	text := read(f, "testdata/default.json")
	f.Fuzz(func(t *testing.T, data []byte, host uint8) {
		if len(data) > 1<<10 {
			return
		}
		var doc specs.Spec
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		for r := (editor{data}); len(r.data) > 0; {
			r.edit(reflect.ValueOf(&doc).Elem())
		}
		raw, err := json.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := bundle.Parse(raw)
		if err != nil {
			return
		}
		compileAny(t, spec, host)
	})
}

func compileAny(t *testing.T, spec *specs.Spec, host uint8) {
	checked := bundle.Check(spec, "/bundle") == nil
	in := input(spec)
	in.Facts = [...]func() Facts{rootFacts, hybridFacts, v1Facts, rootlessFacts}[host&3]()
	in.Facts.InUserNS, in.Facts.SELinux = host&4 != 0, host&8 != 0
	in.NoPivot, in.Park = host&16 != 0, host&32 != 0
	if host&3 == 1 {
		in.Facts.LandlockABI = int(host>>3) & 7
		spec.Annotations = map[string]string{landlock.Annotation: fmt.Sprintf(landlockText, [...]string{"strict", "best-effort"}[host>>2&1])}
	}
	if host&64 != 0 {
		in.Facts.Cgroups, in.Facts.CgroupPaths, in.Facts.IntoCgroup = nil, nil, false
	}
	compileWorld := Compile
	if host&128 != 0 {
		compileWorld = CompileExec
	}
	p, err := compileWorld(in)
	if named(t, err) {
		return
	}
	programs := []nsenter.Program{p.World, p.Idle()}
	if spec.Process != nil {
		process, err := p.Process(lateFor(spec))
		if named(t, err) {
			return
		}
		programs = append(programs, process)
	}
	if len(p.Files) > nsenter.MaxSlots {
		t.Errorf("%d descriptors", len(p.Files))
	}
	for _, program := range programs {
		if _, err := program.Encode(); err != nil && checked {
			t.Error(err)
		}
		for _, in := range program {
			oneLine(t, in.Field)
		}
	}
	for _, w := range p.Warnings {
		oneLine(t, w.String())
	}
}

// named tells whether there is an error, and makes sure that it is one that people can act on.
func named(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Field == "" || e.Reason == "" {
		t.Fatalf("%T: %q", err, err)
	}
	oneLine(t, err.Error())
	return true
}

// oneLine: no string of the configuration forges a line of a log.
func oneLine(t *testing.T, s string) {
	t.Helper()
	if strings.ContainsAny(s, "\n\x00\x1b") {
		t.Errorf("more than a line: %q", s)
	}
}

// editor changes a value as its data says.
type editor struct{ data []byte }

// n takes a number below limit from the data.
func (r *editor) n(limit int) int {
	if len(r.data) == 0 || limit < 2 {
		return 0
	}
	b := int(r.data[0])
	r.data = r.data[1:]
	return b % limit
}

// edit changes one thing somewhere in v.
func (r *editor) edit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		r.edit(v.Field(r.n(v.NumField())))
	case reflect.Pointer:
		switch {
		case r.n(8) == 1:
			v.SetZero()
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
			fallthrough
		default:
			r.edit(v.Elem())
		}
	case reflect.Slice:
		switch what := r.n(8); {
		case what == 0:
			v.SetZero()
		case what < 4 || v.Len() == 0:
			e := reflect.New(v.Type().Elem()).Elem()
			for range 1 + r.n(6) {
				r.edit(e)
			}
			v.Set(reflect.Append(v, e))
		default:
			r.edit(v.Index(r.n(v.Len())))
		}
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		r.edit(e)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(r.word()).Convert(v.Type().Key()), e)
	case reflect.String:
		v.SetString(r.word())
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, 1, 3, 5, 229, -1, 1000, 1 << 20, math.MaxInt32, math.MinInt32}[r.n(10)])
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint8:
		v.SetUint([]uint64{0, 1, 5, 438, 1000, 65536, math.MaxUint32}[r.n(7)] & (1<<v.Type().Bits() - 1))
	}
}

func (r *editor) word() string {
	words := []string{
		"", "/", "/dev", "/dev/null", "/dev/ptmx", "/dev/pts", "/proc", "/sys/fs/cgroup", "/a", "/a/b", "a/../..", "rel", "/x y\n", "\x1b[0m", "é",
		"bind", "rbind", "ro", "rro", "rw", "rrw", "remount", "noatime", "relatime", "rstrictatime", "slave", "shared", "rprivate", "sync", "idmap", "tmpcopyup", "size=1,mode=7", `context="a,b"`, `a\`,
		"tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devtmpfs", "c", "b", "p", "u",
		"mount", "pid", "network", "user", "ipc", "uts", "time", "/proc/1/ns/net", "monotonic", "boottime", "net.ipv4.ip_forward", "kernel.msgmax", "..", "net//x",
		"CAP_KILL", "CAP_SYS_ADMIN", "cap_x", "RLIMIT_CORE", "RLIMIT_NOFILE", "SCHED_FIFO", "SCHED_FLAG_RECLAIM", "IOPRIO_CLASS_IDLE", "LINUX32", "MPOL_BIND", "MPOL_F_STATIC_NODES", "0-3,9", "7-",
		"PATH=", "PATH=/a::b", "HOME=", "HOME", "A=1", "SCMP_ACT_ALLOW", "sh", "1.0.2", "1.3.0",
	}
	return words[r.n(len(words))]
}
