package seccomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func openCache(t testing.TB, dir string) *Cache {
	t.Helper()
	c, err := OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newCache(t testing.TB) *Cache {
	return openCache(t, filepath.Join(t.TempDir(), "state", "seccomp"))
}

// aProgram differs for each n.
func aProgram(n int) *compiled {
	return &compiled{program: bytes.Repeat([]byte{byte(n), byte(n >> 8), 0, 0, 0, 0, 0, 1}, 100), warnings: []string{"first", "second"}}
}

func aKey(n int) cacheKey {
	var k cacheKey
	copy(k[:], fmt.Sprintf("key %d", n))
	return k
}

func (c *Cache) file(k cacheKey) string { return filepath.Join(c.path, hex.EncodeToString(k[:])) }

// fetch returns whether the entry was compiled, and the warnings.
func fetch(t testing.TB, c *Cache, n int) (anew bool, warnings []string) {
	t.Helper()
	got, warnings, err := c.get(aKey(n), func() (*compiled, error) { anew = true; return aProgram(n), nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := aProgram(n); !bytes.Equal(got.program, want.program) || !slices.Equal(got.warnings, want.warnings) {
		t.Fatalf("entry %d came back as another", n)
	}
	return anew, warnings
}

func TestCacheRemembers(t *testing.T) {
	c := newCache(t)
	if anew, w := fetch(t, c, 1); !anew || w != nil {
		t.Errorf("first: compiled %v, warnings %q", anew, w)
	}
	if anew, w := fetch(t, c, 1); anew || w != nil {
		t.Errorf("second: compiled %v, warnings %q", anew, w)
	}
	if anew, _ := fetch(t, c, 2); !anew {
		t.Error("another key found an entry")
	}
	again := openCache(t, c.path)
	if anew, _ := fetch(t, again, 1); anew {
		t.Error("a second cache on the directory doesn't find it")
	}
	var st unix.Stat_t
	if err := unix.Stat(c.file(aKey(1)), &st); err != nil || st.Mode != unix.S_IFREG|0o600 {
		t.Errorf("entry has mode %#o (%v)", st.Mode, err)
	}
	if err := unix.Stat(c.path, &st); err != nil || st.Mode != unix.S_IFDIR|0o700 {
		t.Errorf("directory has mode %#o (%v)", st.Mode, err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.path, tempPrefix+"*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestCacheDoesNotKeepErrors(t *testing.T) {
	c := newCache(t)
	boom := errors.New("boom")
	if _, _, err := c.get(aKey(1), func() (*compiled, error) { return nil, boom }); err != boom {
		t.Errorf("got %v", err)
	}
	if anew, _ := fetch(t, c, 1); !anew {
		t.Error("an error was kept")
	}
}

// Each of these must be noticed, reported, compiled anew and replaced.
func TestPoisonedEntry(t *testing.T) {
	rewrite := func(change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, reason string
		poison       func(*testing.T, string)
	}{
		{"empty", "damaged", rewrite(func(b []byte) []byte { return nil })},
		{"header only", "damaged", rewrite(func(b []byte) []byte { return b[:entryHeader] })},
		{"truncated by a byte", "damaged", rewrite(func(b []byte) []byte { return b[:len(b)-1] })},
		{"truncated by an instruction", "damaged", rewrite(func(b []byte) []byte { return b[:len(b)-8] })},
		{"one bit of the program", "damaged", rewrite(func(b []byte) []byte { b[len(b)-40] ^= 1; return b })},
		{"one bit of the digest", "damaged", rewrite(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{"something behind", "damaged", rewrite(func(b []byte) []byte { return append(b, 0, 0, 0, 0, 0, 0, 0, 0) })},
		{"far too large", "damaged", rewrite(func(b []byte) []byte { return append(b, make([]byte, 16<<20)...) })},
		{"intact entry of another profile", "damaged", func(t *testing.T, file string) {
			must(t, os.WriteFile(file, encodeEntry(aKey(7), aProgram(7)), 0o600))
		}},
		{"program that is none", "damaged", func(t *testing.T, file string) {
			must(t, os.WriteFile(file, encodeEntry(aKey(1), &compiled{program: make([]byte, 12)}), 0o600))
		}},
		{"no program", "damaged", func(t *testing.T, file string) {
			must(t, os.WriteFile(file, encodeEntry(aKey(1), &compiled{}), 0o600))
		}},
		{"writable by the group", "written by others", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o620)) }},
		{"writable by all", "written by others", func(t *testing.T, file string) { must(t, os.Chmod(file, 0o602)) }},
		{"another owner", "belongs to user 12345", func(t *testing.T, file string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			must(t, os.Chown(file, 12345, -1))
		}},
		{"symbolic link to an intact entry", "symbolic link", func(t *testing.T, file string) {
			must(t, os.Rename(file, file+".real"))
			must(t, os.Symlink(file+".real", file))
		}},
		{"FIFO", "regular file", func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, unix.Mkfifo(file, 0o600))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t)
			fetch(t, c, 1)
			tt.poison(t, c.file(aKey(1)))
			anew, warnings := fetch(t, c, 1)
			if !anew {
				t.Fatal("the poisoned entry was believed")
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], tt.reason) || !strings.Contains(warnings[0], c.path) {
				t.Errorf("warnings %q", warnings)
			}
			if anew, warnings := fetch(t, c, 1); anew || warnings != nil {
				t.Errorf("after that: compiled %v, warnings %q", anew, warnings)
			}
		})
	}
}

func TestUntrustedDirectory(t *testing.T) {
	dir := t.TempDir()
	check := func(name, path, reason string) {
		t.Helper()
		c, err := OpenCache(path)
		var ue *UntrustedError
		if err == nil {
			c.Close()
		}
		if !errors.As(err, &ue) || !strings.Contains(ue.Reason, reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	make := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	check("writable by the group", make("group", 0o770), "written by others")
	check("writable by all", make("all", 0o777), "written by others")
	check("sticky", make("sticky", 0o777|os.ModeSticky), "written by others")
	real := make("real", 0o700)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	check("symbolic link", link, "is not a directory")
	check("symbolic link with a slash", link+"/", "is not a directory")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check("file", file, "is not a directory")
	if os.Geteuid() == 0 {
		foreign := make("foreign", 0o700)
		if err := os.Chown(foreign, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		check("another owner", foreign, "belongs to user 12345")
	}
}

func TestReadOnlyCacheWarns(t *testing.T) {
	c := newCache(t)
	if err := os.Remove(c.path); err != nil { // nothing can be made in a removed directory
		t.Fatal(err)
	}
	if anew, warnings := fetch(t, c, 1); !anew || len(warnings) != 1 {
		t.Errorf("compiled %v, warnings %q", anew, warnings)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(t)
	old := time.Now().Add(-time.Hour)
	for n := range maxEntries {
		fetch(t, c, n)
		at := old.Add(time.Duration(n) * time.Second)
		if err := os.Chtimes(c.file(aKey(n)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	abandoned := filepath.Join(c.path, tempPrefix+"1-x")
	if err := errors.Join(os.WriteFile(abandoned, nil, 0o600), os.Chtimes(abandoned, old, old)); err != nil {
		t.Fatal(err)
	}
	fetch(t, c, 0) // the oldest is in use again
	for n := range 10 {
		fetch(t, c, 1000+n)
	}
	names, err := os.ReadDir(c.path)
	if err != nil || len(names) != maxEntries {
		t.Errorf("%d entries, %v", len(names), err)
	}
	for n, want := range map[int]bool{0: true, 1: false, 10: false, 11: true, maxEntries - 1: true, 1009: true} {
		if _, err := os.Stat(c.file(aKey(n))); (err == nil) != want {
			t.Errorf("entry %d kept: %v, want %v", n, err == nil, want)
		}
	}
	if _, err := os.Stat(abandoned); err == nil {
		t.Error("the abandoned write is still there")
	}
}

func TestHugeEntryIsNotKept(t *testing.T) {
	c := newCache(t)
	huge := &compiled{program: make([]byte, 8), warnings: []string{strings.Repeat("x", maxEntry)}}
	if _, w, err := c.get(aKey(1), func() (*compiled, error) { return huge, nil }); err != nil || w != nil {
		t.Errorf("%q, %v", w, err)
	}
	if _, err := os.Stat(c.file(aKey(1))); err == nil {
		t.Error("kept")
	}
}

func TestFiftyAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var compiles atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c, err := OpenCache(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for n := range 100 { // more than the cache keeps: eviction runs too
				got, warnings, err := c.get(aKey(n), func() (*compiled, error) { compiles.Add(1); return aProgram(n), nil })
				if err != nil || warnings != nil || !bytes.Equal(got.program, aProgram(n).program) {
					t.Errorf("entry %d: %q, %v", n, warnings, err)
				}
			}
		})
	}
	wg.Wait()
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > maxEntries {
		t.Errorf("%d entries, %v", len(names), err)
	}
	t.Logf("%d compilations for 5000 requests", compiles.Load())
}

// Whatever the program follows from must change the key. Fields are found by
// reflection, so that one added to the specification fails here.
func TestKeyCoversTheProfile(t *testing.T) {
	profile := func() *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, DefaultErrnoRet: ptr(uint(1)),
			Architectures: []specs.Arch{specs.ArchX86_64}, Flags: []specs.LinuxSeccompFlag{flagTSYNC},
			ListenerPath: "/a", ListenerMetadata: "a",
			Syscalls: []specs.LinuxSyscall{{
				Names: []string{"read"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(1)),
				Args: []specs.LinuxSeccompArg{{Index: 1, Value: 1, ValueTwo: 1, Op: specs.OpEqualTo}},
			}},
		}
	}
	key := func(cfg *specs.LinuxSeccomp, opts Options) cacheKey {
		t.Helper()
		p, err := parse(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p.key(opts)
	}
	changes := map[string]func(*specs.LinuxSeccomp){
		"LinuxSeccomp.DefaultAction":   func(c *specs.LinuxSeccomp) { c.DefaultAction = specs.ActTrace },
		"LinuxSeccomp.DefaultErrnoRet": func(c *specs.LinuxSeccomp) { c.DefaultErrnoRet = ptr(uint(2)) },
		"LinuxSeccomp.Architectures":   func(c *specs.LinuxSeccomp) { c.Architectures[0] = specs.ArchX86 },
		"LinuxSeccomp.Syscalls":        func(c *specs.LinuxSeccomp) { c.Syscalls = append(c.Syscalls, c.Syscalls[0]) },
		"LinuxSyscall.Names":           func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names[0] = "write" },
		"LinuxSyscall.Action":          func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = specs.ActTrace },
		"LinuxSyscall.ErrnoRet":        func(c *specs.LinuxSeccomp) { c.Syscalls[0].ErrnoRet = nil; c.Syscalls[0].ErrnoRet = ptr(uint(2)) },
		"LinuxSyscall.Args":            func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args = nil },
		"LinuxSeccompArg.Index":        func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].Index = 2 },
		"LinuxSeccompArg.Value":        func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].Value = 1 << 32 },
		"LinuxSeccompArg.ValueTwo":     func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].ValueTwo = 1 << 32 },
		"LinuxSeccompArg.Op":           func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].Op = specs.OpNotEqual },
		// Not in the program, but in Filter.Flags or with the listener's owner.
		"LinuxSeccomp.Flags":            nil,
		"LinuxSeccomp.ListenerPath":     nil,
		"LinuxSeccomp.ListenerMetadata": nil,
	}
	seen := map[cacheKey]string{key(profile(), Options{}): "unchanged"}
	for _, typ := range []reflect.Type{reflect.TypeFor[specs.LinuxSeccomp](), reflect.TypeFor[specs.LinuxSyscall](), reflect.TypeFor[specs.LinuxSeccompArg]()} {
		for i := range typ.NumField() {
			field := typ.Name() + "." + typ.Field(i).Name
			change, known := changes[field]
			if !known {
				t.Errorf("%s: does the program follow from it?", field)
			}
			if change == nil {
				continue
			}
			cfg := profile()
			change(cfg)
			k := key(cfg, Options{})
			if other, taken := seen[k]; taken {
				t.Errorf("%s: the same key as %s", field, other)
			}
			seen[k] = field
		}
	}
	if typ := reflect.TypeFor[Options](); typ.NumField() != 1 || key(profile(), Options{FailUnknownSyscalls: true}) == key(profile(), Options{}) {
		t.Error("an option isn't part of the key")
	}
	// Where one text ends and the next begins counts.
	a, b := profile(), profile()
	a.Syscalls[0].Names = []string{"read", "write"}
	b.Syscalls[0].Names = []string{"readwrite"}
	if key(a, Options{}) == key(b, Options{}) {
		t.Error("names run together")
	}
}

// The digest is put right, or the fuzzer would never come past it.
func FuzzDecodeEntry(f *testing.F) {
	for _, c := range []*compiled{aProgram(1), {program: make([]byte, 8)}} {
		e := encodeEntry(aKey(1), c)
		f.Add(e[:len(e)-sha256.Size])
	}
	f.Add([]byte(entryMagic))
	f.Fuzz(func(t *testing.T, body []byte) {
		digest := sha256.Sum256(body)
		data := append(bytes.Clone(body), digest[:]...)
		c, err := decodeEntry(aKey(1), data)
		if err == nil && !bytes.Equal(encodeEntry(aKey(1), c), data) {
			t.Error("an entry was taken that encodes differently")
		}
	})
}
