package state

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"davit/libcontainer/specjson/jsontest"
	"davit/libcontainer/specjson/jsontext"
)

func decodeText(text string) (*Record, error) {
	r := new(Record)
	var d jsontext.Decoder
	d.Start(text, nil)
	decodeRecord(&d, r)
	return r, d.End()
}

// Each field alone, then all of them, come back from what Save writes, whoever reads it.
func TestRecordEveryField(t *testing.T) {
	check := func(path string, r *Record) {
		var e jsontext.Encoder
		encodeRecord(&e, r)
		text, err := e.Text()
		if err != nil {
			t.Fatal(err)
		}
		viaJSON := new(Record)
		if err := json.Unmarshal(text, viaJSON); err != nil || !reflect.DeepEqual(viaJSON, r) {
			t.Errorf("%s: %s is read as %+v, %v by encoding/json", path, text, viaJSON, err)
		}
		own, err := decodeText(string(text))
		if err != nil || !reflect.DeepEqual(own, r) {
			t.Errorf("%s: %s is read as %+v, %v", path, text, own, err)
		}
		// What earlier versions wrote.
		text, err = json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if own, err = decodeText(string(text)); err != nil || !reflect.DeepEqual(own, r) {
			t.Errorf("%s: %s is read as %+v, %v", path, text, own, err)
		}
	}
	n := 0
	jsontest.Fields(func(path string, r *Record) {
		n++
		check(path, r)
	})
	if n < reflect.TypeFor[Record]().NumField() {
		t.Errorf("%d fields only", n)
	}
	var all Record
	jsontest.Fill(&all, 0)
	check("all", &all)
	check("none", new(Record))
}

// What the own decoder takes, encoding/json takes as well, and to the same effect.
func TestRecordAgrees(t *testing.T) {
	all := record("c")
	all.FormatVersion = FormatVersion
	all.Created = time.Date(2026, 8, 30, 12, 0, 0, 5, time.FixedZone("", 3600))
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	m := jsontest.NewMutator(text, 1)
	taken, both := 0, 0
	for range 50_000 {
		raw := m.Next()
		want := new(Record)
		wantErr := json.Unmarshal(raw, want)
		got, gotErr := decodeText(string(raw))
		if wantErr == nil {
			taken++
		}
		if gotErr != nil {
			continue
		}
		both++
		if wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %+v, by encoding/json as %+v, %v", raw, got, want, wantErr)
		}
	}
	t.Logf("encoding/json takes %d, decodeRecord %d", taken, both)
	if taken < 5_000 || both < taken/2 { // there are nulls among them, and what is not UTF-8
		t.Error("too few for a test")
	}
}
