package bundle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseResources(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"memory":{"limit":5,"swappiness":18446744073709551615,"unknown":1},"unified":{"memory.high":"max"}, "unknown": {}}` + "\n",
		`{"MEMORY":{"Limit":5}}`, // what only encoding/json takes
		`{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":-1}],"pids":{"limit":-1},"cpu":null}`,
		`{"blockIO":{"weight":0,"weightDevice":[{"major":8,"minor":0,"weight":10}]},"hugepageLimits":[{"pageSize":"2MB","limit":1}],"rdma":{"mlx5_1":{"hcaHandles":3}},"network":{"classID":1,"priorities":[{"name":"eth0","priority":1}]}}`,
	} {
		var want specs.LinuxResources
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got, err := ParseResources([]byte(text)); err != nil || !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                      "line 1, column 1: not valid JSON",
		"{} {}":                                 "line 1, column 4: not valid JSON",
		"[]":                                    "linux.resources: ",
		"null":                                  "linux.resources: ",
		`{"memory":{"limit":"512M"}}`:           "linux.resources.memory.limit: ",
		`{"pids":{"limit":1.5}}`:                "linux.resources.pids.limit: ",
		`{"blockIO":{"weight":-1}}`:             "linux.resources.blockIO.weight: ",
		`{"memory":{"limit":-5}}`:               "linux.resources.memory.limit: must not be negative",
		`{"cpu":{"quota":20000,"burst":30000}}`: "linux.resources.cpu.burst: ",
		`{"devices":[{"allow":true,"type":"x"}]}`: "linux.resources.devices[0].type: ",
		`{"unified":{"../memory.max":"1"}}`:       `linux.resources.unified["../memory.max"]: `,
		`{"unified":{"a.b":"\u0000"}}`:            `linux.resources.unified["a.b"]`,
	} {
		if r, err := ParseResources([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %s", text, r, err, want)
		}
	}
}

// TestParseResourcesOfConfigs: what engines write in a config.json they send as an update, too.
func TestParseResourcesOfConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.json")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Linux struct {
				Resources json.RawMessage `json:"resources"`
			} `json:"linux"`
		}
		if json.Unmarshal(raw, &doc) != nil || len(doc.Linux.Resources) == 0 {
			continue
		}
		n++
		var want specs.LinuxResources
		if err := json.Unmarshal(doc.Linux.Resources, &want); err != nil {
			t.Fatal(err)
		}
		if got, err := ParseResources(doc.Linux.Resources); err != nil || !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: %+v, %v", file, got, err)
		}
	}
	if n == 0 {
		t.Error("no configuration has resources")
	}
}
