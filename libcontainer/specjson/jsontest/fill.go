package jsontest

import (
	"fmt"
	"reflect"
	"time"
)

// Fill sets every field below a pointer to values that differ from each other
// and from zero, integers to ones near the limits of their types; slices and maps
// get two elements. Another start leads to other values. It panics for kinds of
// fields that JSON decoding into structs has no need for.
func Fill(v any, start int) {
	f := filler{start}
	f.fill(reflect.ValueOf(v).Elem())
}

type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d é<\"\\\n>", f.n))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-1<<(v.Type().Bits()-1) + int64(f.n%100))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1<<v.Type().Bits() - 1 - uint64(f.n%100))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2000, 1, 2, 3, 4, 5, f.n, time.UTC)))
			return
		}
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf("any"))
	default:
		panic("cannot fill a " + v.Type().String())
	}
}

// Fields calls fn with a new T for every field that is reached from a struct type
// through structs, pointers, and elements of slices and maps: with this one set
// and, for slices, maps and pointers, what they hold. The path tells which.
func Fields[T any](fn func(path string, v *T)) {
	fields(reflect.TypeFor[T](), "", func(path string, set func(reflect.Value)) {
		v := new(T)
		set(reflect.ValueOf(v).Elem())
		fn(path, v)
	})
}

// fields calls emit with a function for each field below t, which sets it in a
// value of type t.
func fields(t reflect.Type, path string, emit func(string, func(reflect.Value))) {
	switch t.Kind() {
	case reflect.Pointer:
		fields(t.Elem(), path, func(path string, set func(reflect.Value)) {
			emit(path, func(v reflect.Value) {
				v.Set(reflect.New(t.Elem()))
				set(v.Elem())
			})
		})
		return
	case reflect.Slice:
		fields(t.Elem(), path+"[]", func(path string, set func(reflect.Value)) {
			emit(path, func(v reflect.Value) {
				v.Set(reflect.MakeSlice(t, 3, 3))
				set(v.Index(1))
			})
		})
	case reflect.Map:
		fields(t.Elem(), path+"{}", func(path string, set func(reflect.Value)) {
			emit(path, func(v reflect.Value) {
				v.Set(reflect.MakeMap(t))
				e := reflect.New(t.Elem()).Elem()
				set(e)
				v.SetMapIndex(reflect.ValueOf("k"), e)
			})
		})
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			break
		}
		for i := range t.NumField() {
			fields(t.Field(i).Type, path+"."+t.Field(i).Name, func(path string, set func(reflect.Value)) {
				emit(path, func(v reflect.Value) { set(v.Field(i)) })
			})
		}
		return
	}
	emit(path, func(v reflect.Value) { (&filler{}).fill(v) })
}
