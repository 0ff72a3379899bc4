package bundle

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/specjson"
	"davit/libcontainer/specjson/jsontest"
)

var (
	mutations = flag.Int("mutations", 10_000, "how many variants of configurations to compare the decoders with")
	seed      = flag.Uint64("mutation-seed", 1, "where the variants start")
)

// agree compares the two ways to decode a configuration: what the fast one
// takes, the other one must take as well, and to the same effect. It reports
// what each took.
func agree(t testing.TB, raw []byte) (fast, slow bool) {
	t.Helper()
	got, gotErr := specjson.DecodeSpec(string(raw))
	want, wantErr := parse(raw)
	compare(t, raw, got, want, gotErr, wantErr)
	return gotErr == nil, wantErr == nil
}

func agreeProcess(t testing.TB, raw []byte) (fast, slow bool) {
	t.Helper()
	got, gotErr := specjson.DecodeProcess(string(raw))
	want, wantErr := parseProcess(raw)
	compare(t, raw, got, want, gotErr, wantErr)
	return gotErr == nil, wantErr == nil
}

func compare(t testing.TB, raw []byte, got, want any, gotErr, wantErr error) {
	t.Helper()
	switch {
	case gotErr != nil:
	case wantErr != nil:
		t.Errorf("only specjson takes this, else %v\n%q", wantErr, raw)
	case !reflect.DeepEqual(got, want):
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Errorf("specjson decodes\n%q\nto\n%s\ninstead of\n%s", raw, g, w)
	}
}

func corpus(t testing.TB) map[string][]byte {
	files, err := filepath.Glob("testdata/corpus/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	texts := map[string][]byte{}
	for _, file := range append(files, "testdata/base.json") {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = raw
	}
	return texts
}

func isProcess(file string) bool { return strings.HasSuffix(file, ".process.json") }

// What engines write never needs encoding/json.
func TestFastPathTakesCorpus(t *testing.T) {
	for file, raw := range corpus(t) {
		check := agree
		if isProcess(file) {
			check = agreeProcess
		}
		if fast, slow := check(t, raw); !fast || !slow {
			t.Errorf("%s: taken by specjson: %t, by encoding/json: %t", file, fast, slow)
		}
	}
}

// A null takes back what was there before, or leaves it, or is refused.
func TestFastPathNulls(t *testing.T) {
	members := map[string][]string{
		`%s`:                                      {`"linux":{}`, `"process":{"cwd":"/"}`, `"root":{"path":"r"}`, `"hooks":{}`, `"mounts":[{"destination":"/"}]`, `"annotations":{"a":"b"}`, `"hostname":"h"`, `"ociVersion":"1"`, `"windows":{}`, `"x":1`},
		`"linux":{%s}`:                            {`"resources":{}`, `"seccomp":{"defaultAction":"a"}`, `"intelRdt":{}`, `"sysctl":{}`, `"netDevices":{"a":{}}`, `"namespaces":[]`, `"cgroupsPath":"c"`},
		`"linux":{"resources":{%s}}`:              {`"memory":{}`, `"cpu":{"shares":1}`, `"unified":{"a":"b"}`, `"rdma":{"a":{"hcaHandles":1}}`},
		`"linux":{"resources":{"cpu":{%s}}}`:      {`"shares":1`, `"quota":-1`, `"cpus":"0"`},
		`"process":{"user":{%s}}`:                 {`"umask":1`, `"additionalGids":[1]`, `"uid":5`},
		`"process":{%s}`:                          {`"terminal":true`, `"args":["a"]`, `"capabilities":{}`, `"oomScoreAdj":1`, `"user":{"uid":1}`},
		`"linux":{"seccomp":{"syscalls":[{%s}]}}`: {`"names":["a"]`, `"args":[{"index":1}]`, `"errnoRet":1`, `"action":"a"`},
		`"mounts":[{%s}]`:                         {`"destination":"/"`, `"options":["a"]`, `"type":"t"`},
	}
	for outer, list := range members {
		for _, m := range list {
			name, _, _ := strings.Cut(m, ":")
			for i, inner := range []string{name + ":null", name + ":null," + m, m + "," + name + ":null", m + "," + name + ":null," + m} {
				raw := "{" + strings.Replace(outer, "%s", inner, 1) + "}"
				// Only a null after a value may need encoding/json.
				if fast, slow := agree(t, []byte(raw)); i < 2 && slow && !fast {
					t.Errorf("specjson refuses %s", raw)
				}
			}
		}
	}
}

func TestFastPathAgrees(t *testing.T) {
	var full specs.Spec
	jsontest.Fill(&full, 0)
	text, err := json.Marshal(&full)
	if err != nil {
		t.Fatal(err)
	}
	type source struct {
		*jsontest.Mutator
		check func(testing.TB, []byte) (bool, bool)
	}
	sources := []source{{jsontest.NewMutator(text, *seed), agree}}
	for file, raw := range corpus(t) {
		check := agree
		if isProcess(file) {
			check = agreeProcess
		}
		sources = append(sources, source{jsontest.NewMutator(shortened(t, raw), *seed), check})
	}
	count := *mutations
	if testing.Short() {
		count = min(count, 2_000)
	}
	var taken, both int
	for i := 0; i < count && !t.Failed(); i++ {
		s := sources[i%len(sources)]
		fast, slow := s.check(t, s.Next())
		if slow {
			taken++
			if fast {
				both++
			}
		}
	}
	t.Logf("of %d variants encoding/json takes %d, specjson all of these but %d", count, taken, taken-both)
	// Those have a NUL in an unknown member, or a null after a section.
	if taken < count/10 || both < taken*95/100 {
		t.Errorf("too few: a test of nothing, or a fast path that is none")
	}
}

// shortened leaves few system calls in the seccomp rules, so that changes hit
// something else as well, and more of them can be tried.
func shortened(t *testing.T, raw []byte) []byte {
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	linux, _ := doc["linux"].(map[string]any)
	profile, ok := linux["seccomp"].(map[string]any)
	if !ok {
		return raw
	}
	for _, rule := range profile["syscalls"].([]any) {
		rule := rule.(map[string]any)
		names := rule["names"].([]any)
		rule["names"] = names[:min(len(names), 3)]
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// FuzzFastPath is TestFastPathAgrees for whatever the fuzzer thinks of.
func FuzzFastPath(f *testing.F) {
	for file, raw := range corpus(f) {
		if len(raw) < 5000 || file == dockerConfig {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		agree(t, raw)
		agreeProcess(t, raw)
	})
}
