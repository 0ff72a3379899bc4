package jsontext

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// value reads a text with read, as the element of an array: that is where the
// Decoder looks at what follows.
func value(text string, read func(*Decoder)) error {
	var d Decoder
	d.Start("["+text+"]", nil)
	for ok := d.Array(); ok; ok = d.Element() {
		read(&d)
	}
	return d.End()
}

// refusal reports whether a text may be refused though encoding/json takes it.
func refusal(text string) bool {
	return !utf8.ValidString(text) || strings.Contains(text, `\u0000`)
}

var texts = []string{
	"", " ", "null", "true", "false", "nul", "tru", "truex", "nullnull", "fals", "{", "}", "[", "]", "{}", "[]", "{ }", "[\n]", "[1,]", "[,1]", "[1 2]", "[1,2]",
	`{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a" : 1 , "b" : [ { } ] }`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1}}`, "[[]", "[]]", "{]", "[}", `{"a":[}`,
	"0", "-0", "00", "01", "-01", "1", "-", "--1", "+1", "1.", ".1", "1.0", "-1.5", "1e", "1e1", "1E+1", "1e-", "1e+-1", "1.e1", "0e0", "0x1", "1_0", "1 ", "\t1\r\n", "\v1", "\u00a01",
	"127", "128", "-128", "-129", "255", "256", "32767", "32768", "-32768", "-32769", "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "18446744073709551620", "184467440737095516150", "-18446744073709551616",
	"99999999999999999999999999999", "NaN", "Infinity",
	`"`, `""`, `"a"`, `"a`, `a"`, `"a"b`, `"abcdefg"`, `"abcdefgh"`, `"abcdefghi"`, `"abcdefghijklmnopqrstuvwxyz"`, `"abcdefg\nhijklmnop"`, `"\""`, `"\\"`, `"\"`, `"\\\"`, `"\/"`, `"\b\f\n\r\t"`, `"\a"`, `"\'"`, `"\`,
	`"\u0041"`, `"\u004"`, `"\u00G1"`, `"\u00:1"`, `"\u"`, `"\U0041"`, `"\uFFFF\uffff"`, `"\u0000"`, `"\u0001"`, `"\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\u0041"`,
	`"\ud83d\n"`, `"\ud83d\u12"`, `"\ud83dabcdef"`, `"x\ude00\ud83dy"`, `"\ufffd"`, "\"\x7f\"", "\"\x1f\"", "\"\x00\"", "\"\n\"", "\"aaaaaaaaaaaa\t\"", "\"é\"", "\"aaaaaaa€\"", "\"😀\"", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"é\xff\"", `"é\n€"`, "\"\u2028\ufeff\"", "\ufeff1",
	"\x00", "1\x00", "\"a\"\x00", "/**/1", "'a'",
}

func TestScalarsAgree(t *testing.T) {
	for _, text := range texts {
		agree(t, text, func(d *Decoder, v *string) { d.String(v) })
		agree(t, text, func(d *Decoder, v *bool) { d.Bool(v) })
		agree(t, text, func(d *Decoder, v *int8) { *v = int8(d.Signed(8)) })
		agree(t, text, func(d *Decoder, v *int16) { *v = int16(d.Signed(16)) })
		agree(t, text, func(d *Decoder, v *int32) { *v = int32(d.Signed(32)) })
		agree(t, text, func(d *Decoder, v *int64) { *v = d.Signed(64) })
		agree(t, text, func(d *Decoder, v *uint8) { *v = uint8(d.Unsigned(8)) })
		agree(t, text, func(d *Decoder, v *uint16) { *v = uint16(d.Unsigned(16)) })
		agree(t, text, func(d *Decoder, v *uint32) { *v = uint32(d.Unsigned(32)) })
		agree(t, text, func(d *Decoder, v *uint64) { *v = d.Unsigned(64) })
		agree(t, text, func(d *Decoder, v *[]string) { d.Strings(v) })
		agree(t, text, func(d *Decoder, v *map[string]string) { d.StringMap(v) })
		for _, other := range []string{"null", "5", `"z"`} {
			agree(t, "["+text+","+other+"]", func(d *Decoder, v *[]string) { d.Strings(v) })
			agree(t, `{"a":`+text+`,"b":`+other+"}", func(d *Decoder, v *map[string]string) { d.StringMap(v) })
			agree(t, `{`+text+`:"a","b":`+other+"}", func(d *Decoder, v *map[string]string) { d.StringMap(v) })
		}
	}
}

// agree compares read with what encoding/json does to the same type. A null that
// encoding/json takes and leaves a zero for is not for Decoder to take.
func agree[T any](t *testing.T, text string, read func(*Decoder, *T)) {
	t.Helper()
	var got T
	var want []T
	gotErr := value(text, func(d *Decoder) { read(d, &got) })
	wantErr := json.Unmarshal([]byte("["+text+"]"), &want)
	switch {
	case gotErr == nil && (wantErr != nil || len(want) > 1):
		t.Errorf("%T takes %q: %v", got, text, wantErr)
	case gotErr == nil && len(want) == 1 && !reflect.DeepEqual(got, want[0]):
		t.Errorf("%q is %#v, not %#v", text, got, want[0])
	case gotErr != nil && wantErr == nil && len(want) == 1 && !refusal(text) && !strings.Contains(text, "null"):
		t.Errorf("%T refuses %q: %v", got, text, gotErr)
	}
}

func checkSkip(t *testing.T, text string) {
	t.Helper()
	var d Decoder
	d.Start(text, nil)
	d.skip()
	err := d.End()
	if valid := json.Valid([]byte(text)); valid != (err == nil) && !(valid && refusal(text)) {
		t.Errorf("%q: valid %t, skipped with %v", text, valid, err)
	}
}

func TestSkipIsValid(t *testing.T) {
	for _, text := range texts {
		checkSkip(t, text)
		checkSkip(t, "["+text+"]")
		checkSkip(t, `{"a":`+text+"}")
		checkSkip(t, `{`+text+`:[]}`)
		checkSkip(t, `[{"a":[`+text+","+text+"]}]")
	}
}

func FuzzSkip(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(checkSkip)
}

// The limit of nesting is encoding/json's, and the stack takes it.
func TestDepth(t *testing.T) {
	for _, depth := range []int{1, maxDepth - 1, maxDepth, maxDepth + 1, 1_000_000} {
		checkSkip(t, strings.Repeat("[", depth)+strings.Repeat("]", depth))
		checkSkip(t, strings.Repeat("[", depth-1)+"{}"+strings.Repeat("]", depth-1))
		checkSkip(t, strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth))
	}
	// Side by side is not nested.
	checkSkip(t, "["+strings.Repeat("[],{},", 2*maxDepth)+"[{}]]")
}

// Names match as encoding/json matches them.
func TestOtherNames(t *testing.T) {
	for text, want := range map[string]int{
		`{"KEYS":1}`: 1, `{"kEyS":2}`: 2, `{"\u212aey\u017f":3}`: 3, `{"Keys":4,"keyS":5}`: 5, `{"keyss":6}`: 0, `{"":7}`: 0, `{"k\u00e9ys":8}`: 0, `{"keys other":9}`: 0,
	} {
		var d Decoder
		d.Start(text, nil)
		var got struct{ Keys int }
		for ok := d.Object(); ok; ok = d.Member() {
			if d.Other("other keys") {
				if d.Name != "keys" {
					t.Errorf("%s: %s", text, d.Name)
				}
				got.Keys = int(d.Signed(8))
			}
		}
		viaJSON := got
		viaJSON.Keys = 0
		if err := d.End(); err != nil || got.Keys != want || json.Unmarshal([]byte(text), &viaJSON) != nil || viaJSON != got {
			t.Errorf("%s: %v, %v, encoding/json: %v", text, got, err, viaJSON)
		}
	}
}

func TestTimeAgrees(t *testing.T) {
	for _, text := range []string{
		`"2026-08-30T12:00:00.123456789Z"`, `"2026-08-30T12:00:00+02:00"`, `"2026-08-30T12:00:00,5Z"`, `"2026-08-30t12:00:00z"`, `"2026-08-30"`, `"2026-08-30T12:00:00\u005a"`, `""`, `"`, "5", "null", "{}",
	} {
		var want time.Time
		wantErr := json.Unmarshal([]byte(text), &want)
		var got time.Time
		err := value(text, func(d *Decoder) { d.Time(&got) })
		if (err == nil) != (wantErr == nil) && text != "null" || err == nil && !got.Equal(want) {
			t.Errorf("%s: %v, %v instead of %v, %v", text, got, err, want, wantErr)
		}
	}
}

func TestEncoderIsRead(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, s := range append([]string{string(all), "", "plain", "\xff", "a\xffb\xc3", "é€😀", "\u2028\u2029\ufffd", "<a href=\"&\">", "\x00\x1f\x7f\\"}, texts...) {
		var e Encoder
		e.Object()
		e.Name("s")
		e.String(s)
		e.Name("m")
		e.StringMap(map[string]string{s: s, "b": "", "a": "\n"})
		e.Name("i")
		e.Signed(-1 << 63)
		e.Name("u")
		e.Unsigned(1<<64 - 1)
		e.Name("b")
		e.Bool(false)
		e.End()
		text, err := e.Text()
		if err != nil {
			t.Fatal(err)
		}
		type object struct {
			S string
			M map[string]string
			I int64
			U uint64
			B bool
		}
		got := object{B: true}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		fixed := string([]rune(s))
		want := object{fixed, map[string]string{fixed: fixed, "b": "", "a": "\n"}, -1 << 63, 1<<64 - 1, false}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %s", s, text)
		}
	}
	var e Encoder
	e.Time(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
	if _, err := e.Text(); err == nil {
		t.Error("RFC 3339 has no year 10000")
	}
}
