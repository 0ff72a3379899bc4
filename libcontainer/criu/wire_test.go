package criu

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// The bytes are what `protoc --encode` makes of the same fields, by hand from the
// rules of protocol buffers: key = field<<3 | wire type, varints of seven bits.
func TestEncode(t *testing.T) {
	for _, c := range []struct {
		name string
		req  Request
		want string
	}{
		{"version", Request{Type: Version, KeepOpen: true}, "080a" + "2001"},
		{"notify", Request{Type: Notify, NotifySuccess: true}, "0806" + "1801"},
		{"failed notify", Request{Type: Notify}, "0806"},
		{"features", Request{Type: FeatureCheck, Features: &Features{MemTrack: true}}, "0809" + "2a020801"},
		{"no features", Request{Type: FeatureCheck, Features: &Features{}}, "0809" + "2a00"},
		{"dump", Request{Type: Dump, Options: &Options{ImagesDirFD: 7, PID: 300}}, "0801" + "1205" + "0807" + "10ac02"},
		{"negative", Request{Type: Dump, Options: &Options{ImagesDirFD: -1}}, "0801" + "120b" + "08ffffffffffffffffff01"},
		{"zero mode", Request{Type: Dump, Options: &Options{ManageCgroups: true, CgroupMode: CgroupIgnore}}, "0801" + "1208" + "0800" + "c00101" + "900200"},
		{"mount", Request{Type: Dump, Options: &Options{ExtMounts: []Pair{{"/a", "b"}}}}, "0801" + "120c" + "0800" + "ba0107" + "0a022f61" + "120162"},
		{"unnamed controller", Request{Type: Restore, Options: &Options{CgroupRoots: []CgroupRoot{{"", "/x"}}}}, "0802" + "120b" + "0800" + "ca0106" + "0a00" + "12022f78"},
	} {
		if got := hex.EncodeToString(c.req.encode()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Each option is a field of its own, with its number in rpc.proto.
func TestOptionsFields(t *testing.T) {
	fields := map[string]int{
		"ImagesDirFD": 1, "PID": 2, "LeaveRunning": 3, "ExtUnixSk": 4, "TCPEstablished": 5, "EvasiveDevices": 6, "ShellJob": 7, "FileLocks": 8,
		"LogLevel": 9, "LogFile": 10, "PageServer": 11, "NotifyScripts": 12, "Root": 13, "ParentImg": 14, "TrackMem": 15, "AutoDedup": 16,
		"WorkDirFD": 17, "LinkRemap": 18, "ExtMounts": 23, "ManageCgroups": 24, "CgroupRoots": 25, "RstSibling": 26, "InheritFDs": 27,
		"CgroupMode": 34, "External": 37, "EmptyNamespaces": 38, "JoinedNamespaces": 39, "FreezeCgroup": 44, "TCPSkipInFlight": 46,
		"LazyPages": 48, "StatusFD": 49, "OrphanPtsMaster": 50, "ConfigFile": 51, "LSMProfile": 53, "LSMMountContext": 63, "NetworkLock": 64, "SkipFileModeCheck": 66,
	}
	typ := reflect.TypeFor[Options]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		var o Options
		v := reflect.ValueOf(&o).Elem().Field(i)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int32:
			v.SetInt(5)
		case reflect.Uint32:
			v.SetUint(5)
		case reflect.String:
			v.SetString("x")
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		default:
			t.Fatalf("%s is a %s", f.Name, v.Kind())
		}
		if f.Name == "CgroupMode" {
			o.ManageCgroups = true
		}
		var e encoder
		o.encode(&e)
		found := false
		d := decoder{buf: e.buf}
		for d.next() {
			found = found || d.field == fields[f.Name]
		}
		if d.err != nil || !found {
			t.Errorf("%s isn't field %d of %x (%v)", f.Name, fields[f.Name], e.buf, d.err)
		}
	}
}

func TestDecode(t *testing.T) {
	var e encoder
	e.required(1, int32(Notify))
	e.boolean(2, true)
	e.message(4, func(e *encoder) { e.integer(1, 4711) })
	e.message(5, func(e *encoder) { e.text(1, "post-restore") })
	e.integer(7, 22)
	e.message(8, func(e *encoder) { e.boolean(1, true); e.boolean(2, true) })
	e.text(9, "why")
	e.message(10, func(e *encoder) { e.integer(1, 4); e.integer(2, 1); e.text(3, "gitid"); e.integer(4, 2) })
	e.element(77, "of a later version")
	var r Response
	if err := r.decode(e.buf); err != nil {
		t.Fatal(err)
	}
	want := Response{Type: Notify, Success: true, PID: 4711, Script: "post-restore", Errno: 22, ErrorMsg: "why", Features: Features{true, true}, Major: 4, Minor: 1, Sublevel: 2}
	if r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
	for n := range e.buf {
		var cut Response
		_ = cut.decode(e.buf[:n]) // any prefix is an error or a message, never a panic
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"08", "truncated"},
		{"0a05", "truncated"},
		{"ffffffffffffffffffffff", "truncated"},
		{"00", "field number 0"},
		{"0b", "wire type 3"},
		{"0901", "truncated"},
		{"10", "truncated"},
		{"0a0100", "field 1 has wire type 2, not 0"},
		{"2801", "field 5 has wire type 0, not 2"},
		{"2a020aff", "field 5: truncated"},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		var r Response
		if err := r.decode(data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.data, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&Request{Type: Dump, Options: &Options{Root: "/", PID: 1, External: []string{"net[1]:x"}}}).encode())
	f.Add([]byte("\x08\x06\x10\x01\x2a\x04\x0a\x02ab"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var r, again Response
		err := r.decode(data)
		if !bytes.Equal(before, data) {
			t.Error("the decoder changed its input")
		}
		if again2 := again.decode(data); (err == nil) != (again2 == nil) || r != again {
			t.Errorf("the same bytes are decoded differently: %+v %v, %+v %v", r, err, again, again2)
		}
		if len(r.Script)+len(r.ErrorMsg) > len(data) {
			t.Errorf("%d bytes have %d of text", len(data), len(r.Script)+len(r.ErrorMsg))
		}
	})
}
