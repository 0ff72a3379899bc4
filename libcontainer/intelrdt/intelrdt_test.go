package intelrdt_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer/intelrdt"
	"davit/libcontainer/intelrdt/rdttest"
)

func mustMake(t *testing.T, tree intelrdt.Tree, id string, cfg *specs.LinuxIntelRdt) (*intelrdt.Group, func() error) {
	t.Helper()
	g, undo, err := intelrdt.Make(tree, id, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g, undo
}

// Each row is a rule of config-linux.md, IntelRdt.
func TestRules(t *testing.T) {
	pid := os.Getpid()
	for _, tt := range []struct {
		name   string
		cfg    specs.LinuxIntelRdt
		before func(*rdttest.Tree)
		groups []string // after Make
		in     []string // where the process is after Add
		log    []string // writes to schemata
		left   []string // after Remove
	}{
		{name: "own class without schemata", groups: []string{"c"}, in: []string{"c"}},
		{name: "own class", cfg: specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20;1=70", Schemata: []string{"L3:0=7;1=1", "MB:1=30"}},
			groups: []string{"c"}, in: []string{"c"}, log: []string{"L3:0=f", "MB:0=20;1=70", "L3:0=7;1=1\nMB:1=30"}},
		{name: "named class is made", cfg: specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f"},
			groups: []string{"gold"}, in: []string{"gold"}, log: []string{"L3:0=f"}, left: []string{"gold"}},
		{name: "named class exists", cfg: specs.LinuxIntelRdt{ClosID: "gold"}, before: makeGold, groups: []string{"gold"}, in: []string{"gold"}, left: []string{"gold"}},
		{name: "named class agrees", cfg: specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=00F;1=0x7ff", MemBwSchema: "MB:0=15"}, before: makeGold,
			groups: []string{"gold"}, in: []string{"gold"}, left: []string{"gold"}},
		{name: "the last line counts", cfg: specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=1", Schemata: []string{"L3:0=f"}}, before: makeGold,
			groups: []string{"gold"}, in: []string{"gold"}, left: []string{"gold"}},
		{name: "default class", cfg: specs.LinuxIntelRdt{ClosID: "/"}, in: []string{"."}},
		{name: "default class agrees", cfg: specs.LinuxIntelRdt{ClosID: "/", Schemata: []string{"L3:0=7ff", "MB:0=100;1=100"}}, in: []string{"."}},
		{name: "monitored own class", cfg: specs.LinuxIntelRdt{EnableMonitoring: true}, groups: []string{"c", "c/mon_groups/c"}, in: []string{"c", "c/mon_groups/c"}},
		{name: "monitored named class", cfg: specs.LinuxIntelRdt{ClosID: "gold", EnableMonitoring: true}, before: makeGold,
			groups: []string{"gold", "gold/mon_groups/c"}, in: []string{"gold", "gold/mon_groups/c"}, left: []string{"gold"}},
		{name: "monitored default class", cfg: specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true}, groups: []string{"mon_groups/c"}, in: []string{".", "mon_groups/c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := rdttest.New(5)
			if tt.before != nil {
				tt.before(tree)
			}
			before := tree.Groups()
			tree.Log = nil
			g, _ := mustMake(t, tree, "c", &tt.cfg)
			if got := tree.Groups(); !slices.Equal(got, tt.groups) {
				t.Errorf("groups %v, want %v", got, tt.groups)
			}
			var writes []string
			for _, l := range tree.Log {
				if rest, ok := strings.CutPrefix(l, "write "); ok {
					_, text, _ := strings.Cut(rest, "/schemata ")
					writes = append(writes, text)
				}
			}
			if !slices.Equal(writes, tt.log) {
				t.Errorf("schemata written: %q, want %q", writes, tt.log)
			}
			if err := g.Add(tree, pid); err != nil {
				t.Fatal(err)
			}
			for _, dir := range append(tree.Groups(), ".") {
				if is := slices.Contains(tree.Tasks(dir), pid); is != slices.Contains(tt.in, dir) {
					t.Errorf("in %s: %t, want %v", dir, is, tt.in)
				}
			}
			if err := g.Remove(tree); err != nil {
				t.Fatal(err)
			}
			if got := tree.Groups(); !slices.Equal(got, tt.left) {
				t.Errorf("left: %v, want %v", got, tt.left)
			}
			// Twice is once: a delete may have been killed in the middle.
			if err := g.Remove(tree); err != nil {
				t.Error(err)
			}
			// What fails later leaves what was there, a class by name included.
			_, undo := mustMake(t, tree, "d", &tt.cfg)
			if err := undo(); err != nil {
				t.Error(err)
			}
			if got := tree.Groups(); tt.before != nil && !slices.Equal(got, before) {
				t.Errorf("after undo: %v, before: %v", got, before)
			}
		})
	}
}

// makeGold makes a class with 00f in cache 0 and 20% of bandwidth 0.
func makeGold(tree *rdttest.Tree) {
	if err := errors.Join(tree.Mkdir("gold"), tree.Write("gold/schemata", "L3:0=00f\nMB:0=20\n")); err != nil {
		panic(err)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cfg   specs.LinuxIntelRdt
		limit int
		want  []string
		errno error
	}{
		{name: "class without schemata", cfg: specs.LinuxIntelRdt{ClosID: "silver"}, want: []string{"linux.intelRdt.closID", `no class "silver"`}},
		{name: "other cache", cfg: specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=ff"}, want: []string{"linux.intelRdt.l3CacheSchema", "L3:0 is 00f there, not ff"}},
		{name: "other bandwidth", cfg: specs.LinuxIntelRdt{ClosID: "gold", MemBwSchema: "MB:0=21"}, want: []string{"linux.intelRdt.memBwSchema", "MB:0 is 20 there, not 21"}},
		{name: "other schemata", cfg: specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f", Schemata: []string{"MB:0=20", "L3:0=e"}}, want: []string{"linux.intelRdt.schemata", "not e"}},
		{name: "resource that is missing", cfg: specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"L2:0=f"}}, want: []string{"linux.intelRdt.schemata", "L2:0 is nothing there"}},
		{name: "no line", cfg: specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "0=f"}, want: []string{"linux.intelRdt.l3CacheSchema", "not a line"}},
		{name: "other default class", cfg: specs.LinuxIntelRdt{ClosID: "/", Schemata: []string{"L3:0=1"}}, want: []string{`class "/" exists with another share`}},
		{name: "own class is taken", want: []string{"linux.intelRdt", `a class "c" already`}},
		{name: "kernel's words", cfg: specs.LinuxIntelRdt{ClosID: "new", L3CacheSchema: "L3:0=f", Schemata: []string{"L2:0=f"}},
			want: []string{"linux.intelRdt.schemata", "Unknown or unsupported resource name 'L2'"}, errno: unix.EINVAL},
		{name: "no class left", cfg: specs.LinuxIntelRdt{ClosID: "new", L3CacheSchema: "L3:0=f"}, limit: 2, want: []string{"no more classes"}, errno: unix.ENOSPC},
		{name: "no monitoring group left", cfg: specs.LinuxIntelRdt{ClosID: "new", L3CacheSchema: "L3:0=f", EnableMonitoring: true}, limit: 3,
			want: []string{"linux.intelRdt.enableMonitoring", "no more monitoring groups"}, errno: unix.ENOSPC},
		{name: "no name", cfg: specs.LinuxIntelRdt{ClosID: "../x", L3CacheSchema: "L3:0=f"}, want: []string{"linux.intelRdt.closID"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := rdttest.New(max(tt.limit, 2))
			if tt.limit == 0 {
				tree = rdttest.New(9)
			}
			makeGold(tree)
			if err := tree.Mkdir("c"); err != nil {
				t.Fatal(err)
			}
			before, shares := tree.Groups(), read(t, tree, "gold/schemata")+read(t, tree, "schemata")
			_, _, err := intelrdt.Make(tree, "c", &tt.cfg)
			if err == nil {
				t.Fatal("taken")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
			if tt.errno != nil && !errors.Is(err, tt.errno) {
				t.Errorf("%v is not %v", err, tt.errno)
			}
			if after := tree.Groups(); !slices.Equal(before, after) || shares != read(t, tree, "gold/schemata")+read(t, tree, "schemata") {
				t.Errorf("groups were %v and are %v", before, after)
			}
		})
	}
}

func read(t *testing.T, tree *rdttest.Tree, file string) string {
	t.Helper()
	text, err := tree.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What a davit that died left is removed, but never what somebody is in.
func TestRemoveUnused(t *testing.T) {
	tree := rdttest.New(9)
	cfg := &specs.LinuxIntelRdt{EnableMonitoring: true}
	g, _ := mustMake(t, tree, "c", cfg)
	if err := g.Add(tree, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if err := intelrdt.GroupOf("c", cfg).RemoveUnused(tree); err != nil || len(tree.Groups()) != 2 {
		t.Errorf("%v, %v", tree.Groups(), err)
	}
	if _, err := tree.Groups(), (&intelrdt.Group{Class: "."}).Add(tree, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	tree2 := rdttest.New(9)
	mustMake(t, tree2, "c", cfg)
	if err := intelrdt.GroupOf("c", cfg).RemoveUnused(tree2); err != nil || len(tree2.Groups()) != 0 {
		t.Errorf("%v, %v", tree2.Groups(), err)
	}
	if err := intelrdt.GroupOf("never", cfg).RemoveUnused(tree2); err != nil {
		t.Error(err)
	}
}

// The real filesystem's side, on a directory: files are never made by writing.
func TestMountedTree(t *testing.T) {
	dir := t.TempDir()
	tree := intelrdt.At(dir)
	if err := tree.Write("tasks", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
	if err := tree.Mkdir("c"); err != nil || !tree.Exists("c") || tree.Exists("d") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tasks"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tree.Write("tasks", "12"); err != nil {
		t.Error(err)
	}
	if s, err := tree.Read("tasks"); s != "12" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if err := tree.Rmdir("c"); err != nil || tree.Exists("c") {
		t.Error(err)
	}
	if err := tree.Rmdir("c"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestUpdate(t *testing.T) {
	tree := rdttest.New(9)
	g, _ := mustMake(t, tree, "c", &specs.LinuxIntelRdt{Schemata: []string{"L3:0=f;1=f", "MB:0=20"}})
	before := read(t, tree, "c/schemata")
	undo, err := g.Update(tree, &specs.LinuxIntelRdt{L3CacheSchema: "L3:1=3", MemBwSchema: "MB:1=50"})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, tree, "c/schemata"); got != "    MB:0=20;1=50\n    L3:0=f;1=3\n" {
		t.Errorf("%q", got)
	}
	if err := undo(); err != nil || read(t, tree, "c/schemata") != before {
		t.Errorf("%v, %q", err, read(t, tree, "c/schemata"))
	}
	for want, cfg := range map[string]*specs.LinuxIntelRdt{
		"linux.intelRdt.memBwSchema":   {L3CacheSchema: "L3:1=3", MemBwSchema: "MB:7=50"},
		"linux.intelRdt.l3CacheSchema": {L3CacheSchema: "L3:0=1\nMB:0=10"},
	} {
		if _, err := g.Update(tree, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
		if got := read(t, tree, "c/schemata"); got != before {
			t.Errorf("%+v left %q", cfg, got)
		}
	}
	if _, err := (&intelrdt.Group{ID: "c", Class: "."}).Update(tree, &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=1"}); err == nil {
		t.Error("the system's class was changed")
	}
}

func TestStats(t *testing.T) {
	tree := rdttest.New(9)
	g, _ := mustMake(t, tree, "c", &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", EnableMonitoring: true})
	s := g.Stats(tree)
	if s.L3CacheSchema != "L3:0=f;1=7ff" || s.L3CacheSchemaRoot != "L3:0=7ff;1=7ff" || s.MemBwSchema != "MB:0=100;1=100" ||
		s.L3CacheInfo.CbmMask != "7ff" || s.L3CacheInfo.NumClosids != 16 || s.MemBwInfo.BandwidthGran != rdttest.Step {
		t.Errorf("%+v", s)
	}
	if s.MBMStats == nil || len(*s.MBMStats) != 2 || (*s.MBMStats)[1].MBMTotalBytes != rdttest.CountedTotal+1 || (*s.MBMStats)[0].MBMLocalBytes != rdttest.CountedLocal ||
		s.CMTStats == nil || (*s.CMTStats)[0].LLCOccupancy != rdttest.CountedOccupancy {
		t.Errorf("%+v %+v", s.MBMStats, s.CMTStats)
	}
}
