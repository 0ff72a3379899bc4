package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"davit/libcontainer/process"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func record(id string) *Record {
	return &Record{
		OCIVersion:  "1.3.0",
		ID:          id,
		Bundle:      "/bundles/" + id,
		Rootfs:      "/bundles/" + id + "/rootfs",
		Init:        process.ID{PID: 4242, StartTime: 987654321},
		Created:     time.Date(2026, 8, 30, 12, 0, 0, 123456789, time.UTC),
		Annotations: map[string]string{"a": "", "b\n": "é"},
		CgroupPaths: map[string]string{"": "/sys/fs/cgroup/x", "memory": "/sys/fs/cgroup/memory/x"},
	}
}

func TestSaveLoad(t *testing.T) {
	d := create(t, store(t), "c")
	if _, err := d.Load(); !errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), "delete --force") {
		t.Errorf("Load of a half-made container: %v", err)
	}
	want := record("c")
	want.Rootless, want.SystemdCgroup, want.NoPivot, want.NoNewKeyring = true, true, true, true
	want.IntelRdtClass, want.IntelRdtOwned, want.IntelRdtMonitored = want.ID, true, true
	if err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	if want.FormatVersion != 0 {
		t.Error("Save changed its argument")
	}
	want.FormatVersion = FormatVersion
	got, err := d.Load()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("saved %+v\nloaded %+v, %v", want, got, err)
	}
	st, err := os.Stat(d.Path() + "/state.json")
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	raw, err := os.ReadFile(d.Path() + "/state.json")
	for _, part := range []string{
		`"formatVersion":1,`, `"init":{"pid":4242,"startTime":987654321}`, `"created":"2026-08-30T12:00:00.123456789Z"`,
	} {
		if err != nil || !strings.Contains(string(raw), part) {
			t.Errorf("%s, %v lacks %s", raw, err, part)
		}
	}
}

// TestLoadWhileSaved: a reader that takes no lock finds a whole record always.
func TestLoadWhileSaved(t *testing.T) {
	s := store(t)
	w := create(t, s, "c")
	r := get(t, s, "c")
	rec := record("c")
	if err := w.Save(rec); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		defer close(done)
		for i := range 2000 {
			out := *rec
			out.Annotations = map[string]string{"x": strings.Repeat("y", i*37%5000)}
			if err := w.Save(&out); err != nil {
				done <- err
				return
			}
		}
	}()
	loads := 0
	for {
		select {
		case err := <-done:
			if err != nil || loads == 0 {
				t.Errorf("%d loads, %v", loads, err)
			}
			return
		default:
		}
		if _, err := r.Load(); err != nil {
			t.Fatal(err)
		}
		loads++
	}
}

func TestLoadDamaged(t *testing.T) {
	d := create(t, store(t), "c")
	good, err := json.Marshal(record("c"))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(good, &fields); err != nil {
		t.Fatal(err)
	}
	fields["formatVersion"] = FormatVersion
	with := func(key string, value any) []byte {
		old, had := fields[key]
		fields[key] = value
		out, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if fields[key] = old; !had {
			delete(fields, key)
		}
		return out
	}
	if _, err := parse(with("x-unknown", 1), "c", "p"); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
	for name, data := range map[string][]byte{
		"empty":             {},
		"cut":               good[:len(good)/2],
		"NULs":              make([]byte, 100),
		"not an object":     []byte("[1]"),
		"null":              []byte("null"),
		"two objects":       append(with("x", 1), "{}"...),
		"version":           with("formatVersion", nil),
		"negative version":  with("formatVersion", -1),
		"id":                with("id", "d"),
		"pid":               with("init", map[string]int{"pid": -1}),
		"large pid":         with("init", map[string]int{"pid": 1 << 23}),
		"start time":        with("init", map[string]int{"startTime": -1}),
		"created":           with("created", "yesterday"),
		"bundle":            with("bundle", "rel"),
		"rootfs":            with("rootfs", "/a/../b"),
		"resctrl":           with("intelRdtClass", "../x"),
		"relative cgroup":   with("cgroupPaths", map[string]string{"memory": "x"}),
		"climbing cgroup":   with("cgroupPaths", map[string]string{"memory": "/sys/fs/cgroup/.."}),
		"root as a cgroup":  with("cgroupPaths", map[string]string{"": "/"}),
		"annotation's type": with("annotations", map[string]int{"a": 1}),
	} {
		if err := os.WriteFile(d.Path()+"/state.json", data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := d.Load()
		var ce *CorruptError
		if !errors.As(err, &ce) || !strings.Contains(err.Error(), `"delete --force c" cleans up`) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}

	for name, data := range map[string][]byte{
		"same fields":  with("formatVersion", 2),
		"other fields": []byte(`{"formatVersion":7,"init":"pidfd:12"}`),
	} {
		r, err := parse(data, "c", "p")
		var ve *VersionError
		if !errors.As(err, &ve) || !strings.Contains(err.Error(), "a newer one") {
			t.Errorf("newer version, %s: %+v, %v", name, r, err)
		}
	}
}

// TestSaveRefuses: what Load would call damaged, or would read differently, is
// not written.
func TestSaveRefuses(t *testing.T) {
	d := create(t, store(t), "c")
	for name, change := range map[string]func(*Record){
		"other id":        func(r *Record) { r.ID = "d" },
		"relative bundle": func(r *Record) { r.Bundle = "b" },
		"not UTF-8":       func(r *Record) { r.Rootfs = "/\xff" },
		"empty cgroup":    func(r *Record) { r.CgroupPaths["x"] = "" },
	} {
		r := record("c")
		change(r)
		if err := d.Save(r); err == nil {
			t.Errorf("%s was saved", name)
		}
	}
	if _, err := d.Load(); !errors.Is(err, ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

func TestStatus(t *testing.T) {
	none := &Record{}
	r := record("c")
	for _, c := range []struct {
		r                   *Record
		fifo, frozen, alive bool
		want                specs.ContainerState
	}{
		{r, true, false, true, "created"},
		{r, false, false, true, "running"},
		{r, false, true, true, "paused"},
		{r, true, true, true, "paused"},
		{r, false, false, false, "stopped"},
		{r, true, false, false, "stopped"},
		{r, false, true, false, "stopped"},
		{r, true, true, false, "stopped"},
		{none, true, false, true, "stopped"},
		{none, false, false, false, "stopped"},
	} {
		if got := c.r.Status(c.fifo, c.frozen, c.alive); got != c.want {
			t.Errorf("pid %d fifo %v frozen %v alive %v: %s, want %s", c.r.Init.PID, c.fifo, c.frozen, c.alive, got, c.want)
		}
	}
}

func TestState(t *testing.T) {
	js, err := json.Marshal(record("c").State("running"))
	want := `{"ociVersion":"1.3.0","id":"c","status":"running","pid":4242,"bundle":"/bundles/c","annotations":{"a":"","b\n":"é"}}`
	if err != nil || string(js) != want {
		t.Errorf("%s, %v", js, err)
	}
	if s := record("c").State("stopped"); s.Pid != 0 || s.Status != "stopped" {
		t.Errorf("%+v", s)
	}
}

func FuzzLoad(f *testing.F) {
	good, err := json.Marshal(record("c"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(strings.Replace(string(good), `"formatVersion":0`, `"formatVersion":1`, 1)))
	f.Add([]byte(`{"formatVersion":9,"id":3}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse(data, "c", "p")
		if err != nil {
			var ce *CorruptError
			var ve *VersionError
			if r != nil || !errors.As(err, &ce) && !errors.As(err, &ve) {
				t.Errorf("%+v, %v", r, err)
			}
			return
		}
		// What is believed can be saved, and means the same then.
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(out, "c", "p")
		if err != nil || fmt.Sprint(again.Init, again.CgroupPaths, again.Rootfs) != fmt.Sprint(r.Init, r.CgroupPaths, r.Rootfs) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

func BenchmarkSaveLoad(b *testing.B) {
	s, err := Open(b.TempDir() + "/root")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d, err := s.Create("c")
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	rec := record("c")
	for b.Loop() {
		if err := d.Save(rec); err != nil {
			b.Fatal(err)
		}
		if _, err := d.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

// A record that is begun is there for whoever looks, and tells that nobody finished it.
func TestUnfinished(t *testing.T) {
	st := store(t)
	d := create(t, st, "c")
	if err := d.Finish(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Finish without Begin: %v", err)
	}
	if err := d.TryLock(); err != nil {
		t.Fatal(err)
	}
	r := record("c")
	if err := d.Begin(r); err != nil {
		t.Fatal(err)
	}
	other, err := st.Get("c")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	look := func(unfinished, busy bool) {
		t.Helper()
		got, err := other.Load()
		if err != nil || got.Init != r.Init {
			t.Fatalf("Load: %+v, %v", got, err)
		}
		if other.Unfinished() != unfinished || other.Busy() != busy {
			t.Errorf("unfinished %v, busy %v; want %v, %v", other.Unfinished(), other.Busy(), unfinished, busy)
		}
	}
	look(true, true)
	if d.Busy() || !d.Held() || other.Held() {
		t.Error("it isn't known who holds the lock")
	}
	if err := d.Unlock(); err != nil {
		t.Fatal(err)
	}
	look(true, false) // as after the creator's death
	if err := d.TryLock(); err != nil {
		t.Errorf("whoever looks keeps the lock: %v", err)
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	look(false, true)
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	d = create(t, st, "c")
	if err := d.Begin(r); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); err != nil {
		t.Errorf("Remove of what isn't finished: %v", err)
	}
	if _, err := st.Get("c"); !errors.Is(err, ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// Whoever loads while it is finished finds one or the other.
func TestFinishRace(t *testing.T) {
	st := store(t)
	for range 200 {
		d := create(t, st, "c")
		if err := d.Begin(record("c")); err != nil {
			t.Fatal(err)
		}
		other, err := st.Get("c")
		if err != nil {
			t.Fatal(err)
		}
		finished := make(chan error)
		go func() { finished <- d.Finish() }()
		for {
			if _, err := other.Load(); err != nil {
				t.Fatal(err)
			}
			if !other.Unfinished() {
				break
			}
		}
		if err := <-finished; err != nil {
			t.Fatal(err)
		}
		other.Close()
		if err := d.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}
