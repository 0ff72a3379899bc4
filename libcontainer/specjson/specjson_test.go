package specjson

import (
	"encoding/json"
	"math/big"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/specjson/jsontest"
)

var foreign = []string{".Solaris", ".Windows", ".VM", ".ZOS", ".FreeBSD"}

// Each field alone, then all of them, come back from what encoding/json writes.
func TestEveryField(t *testing.T) {
	everyField(t, DecodeSpec, func(s *specs.Spec) {
		s.Solaris, s.Windows, s.VM, s.ZOS, s.FreeBSD = nil, nil, nil, nil, nil
	})
	everyField(t, DecodeProcess, func(*specs.Process) {})
	everyField(t, DecodeResources, func(*specs.LinuxResources) {})
}

func everyField[T any](t *testing.T, decode func(string) (*T, error), clear func(*T)) {
	check := func(path string, v *T) {
		text := marshal(t, v)
		clear(v)
		want := new(T)
		if err := json.Unmarshal([]byte(marshal(t, v)), want); err != nil {
			t.Fatal(err)
		}
		got, err := decode(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T%s: %s\ndecoded to %+v, %v\ninstead of %+v", *v, path, text, got, err, want)
		}
		// The value is one off the limit of its type, and now beyond.
		beyond := number.ReplaceAllStringFunc(text, func(n string) string {
			v, _ := new(big.Int).SetString(n, 10)
			return v.Add(v, big.NewInt(int64(2*v.Sign()))).String()
		})
		if beyond != text && json.Unmarshal([]byte(beyond), new(T)) != nil {
			if _, err := decode(beyond); err == nil {
				t.Errorf("%T%s: takes %s", *v, path, beyond)
			}
		}
	}
	n := 0
	jsontest.Fields(func(path string, v *T) {
		n++
		for _, f := range foreign {
			if strings.HasPrefix(path, f) {
				clear(v)
			}
		}
		if reflect.ValueOf(v).Elem().IsZero() && path != "" {
			return
		}
		check(path, v)
	})
	if n < 40 {
		t.Errorf("%T has %d fields only", *new(T), n)
	}
	all := new(T)
	jsontest.Fill(all, 0)
	check(" (all)", all)
	twice(t, decode, clear)
}

// number finds numbers of three digits or more that are values.
var number = regexp.MustCompile(`-?\b[0-9]{3,}\b`)

// twice gives every member of every object two or three times, which merges what
// they hold.
func twice[T any](t *testing.T, decode func(string) (*T, error), clear func(*T)) {
	members := make([]string, 3)
	for i := range members {
		v := new(T)
		jsontest.Fill(v, 1000*i)
		clear(v)
		text := marshal(t, v)
		members[i] = text[1 : len(text)-1]
	}
	for _, order := range [][]int{{0, 0}, {0, 1}, {1, 0}, {0, 1, 2}, {2, 0, 2}} {
		var parts []string
		for _, i := range order {
			parts = append(parts, members[i])
		}
		text := "{" + strings.Join(parts, ",") + "}"
		want := new(T)
		if err := json.Unmarshal([]byte(text), want); err != nil {
			t.Fatal(err)
		}
		if got, err := decode(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T %v: %s\ndecoded to %s, %v\ninstead of %s", *want, order, text, marshal(t, got), err, marshal(t, want))
		}
	}
}

func marshal(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	// The one list that has to be given would be null.
	return strings.ReplaceAll(string(text), `"names":null`, `"names":[]`)
}

// Whatever there is more of than the room has place for.
func TestMoreThanTheRoomHolds(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 16, 17, 100, 2000} {
		want := &specs.Spec{
			Process: &specs.Process{Args: []string{}, User: specs.User{AdditionalGids: make([]uint32, n)}},
			Mounts:  make([]specs.Mount, n),
			Hooks:   &specs.Hooks{CreateRuntime: make([]specs.Hook, n), Poststop: make([]specs.Hook, n)},
			Linux: &specs.Linux{
				Devices: make([]specs.LinuxDevice, n),
				Seccomp: &specs.LinuxSeccomp{Syscalls: make([]specs.LinuxSyscall, n)},
			},
		}
		for i := range n {
			want.Process.User.AdditionalGids[i] = uint32(i)
			want.Process.Args = append(want.Process.Args, strings.Repeat("x", i%10))
			want.Mounts[i] = specs.Mount{Destination: "/", Options: []string{"a", "b"}}
			want.Hooks.CreateRuntime[i] = specs.Hook{Path: "/a", Timeout: &i}
			want.Hooks.Poststop[i] = specs.Hook{Args: []string{"c"}}
			want.Linux.Seccomp.Syscalls[i] = specs.LinuxSyscall{Names: []string{"read"}, Args: make([]specs.LinuxSeccompArg, i%7+1)}
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		viaJSON := new(specs.Spec)
		if err := json.Unmarshal(text, viaJSON); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeSpec(string(text))
		if err != nil || !reflect.DeepEqual(got, viaJSON) {
			t.Fatalf("%d elements: %v", n, err)
		}
	}
}

// Lists share memory, which appending to one of them must not show.
func TestListsAreApart(t *testing.T) {
	p, err := DecodeProcess(`{"args": ["a"], "env": ["b"], "rlimits": [{"type": "c"}], "capabilities": {"bounding": ["d"], "effective": ["e"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(p.Args, "x")
	_ = append(p.Env, "x")
	_ = append(p.Capabilities.Bounding, "x")
	if p.Env[0] != "b" || p.Capabilities.Bounding[0] != "d" || p.Capabilities.Effective[0] != "e" {
		t.Errorf("%q %+v", p.Env, p.Capabilities)
	}
	s, err := DecodeSpec(`{"hooks": {"createRuntime": [{"path": "a"}], "poststop": [{"path": "b"}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(s.Hooks.CreateRuntime, specs.Hook{Path: "x"})
	if s.Hooks.Poststop[0].Path != "b" {
		t.Error(s.Hooks.Poststop)
	}
}

// The collector has to find what is only reachable through the room.
func TestResultOutlivesCollections(t *testing.T) {
	var kept []*specs.LinuxSeccomp
	for range 200 {
		s, err := DecodeSpec(strings.Clone(`{"linux": {"seccomp": {"defaultAction": "A", "syscalls": [{"names": ["read", "write"], "errnoRet": 1}]}}}`))
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, s.Linux.Seccomp)
		if len(kept)%20 == 0 {
			runtime.GC()
		}
	}
	for _, k := range kept {
		if k.DefaultAction != "A" || k.Syscalls[0].Names[1] != "write" || *k.Syscalls[0].ErrnoRet != 1 {
			t.Fatalf("%+v", k)
		}
	}
}

func TestEncodeState(t *testing.T) {
	all := new(specs.State)
	jsontest.Fill(all, 0)
	cases := []*specs.State{all, {}, {Annotations: map[string]string{}}, {Annotations: map[string]string{"b": "", "a": "<\x00\x1f\x7f\u2028\xff>", "": `\"/`, "\n": "\r\t\b\f"}}}
	jsontest.Fields(func(_ string, s *specs.State) { cases = append(cases, s) })
	for _, s := range cases {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got, want := new(specs.State), new(specs.State)
		if err := json.Unmarshal(text, want); err != nil {
			t.Fatal(err)
		}
		text = EncodeState(s)
		again := EncodeState(s)
		if err := json.Unmarshal(text, got); err != nil || !reflect.DeepEqual(got, want) || string(again) != string(text) {
			t.Errorf("%s\nis read as %+v, %v\ninstead of %+v", text, got, err, want)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for text, offset := range map[string]int{
		"": 0, "nul": 0, "null": 0, "{}x": 2, `{"root": {"path": 5}}`: 18, `{"hostname": "a` + "\xff" + `"}`: 15,
		`{"linux": {"seccomp": {"syscalls": [{"names": null}]}}}`: 46, "{\"x\": \"\x01\"}": 7, `{"x": "\u0000"}`: 7,
	} {
		s, err := DecodeSpec(text)
		if err == nil || err.Error() != "JSON text refused at offset "+strconv.Itoa(offset) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}
