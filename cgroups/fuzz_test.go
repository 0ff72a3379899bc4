package cgroups

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzTables: whatever a table of mounts or of a process's cgroups looks like,
// there is no panic, what is found is in the table, and paths are absolute.
func FuzzTables(f *testing.F) {
	f.Add("35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		"4:memory:/a/b\n1:name=systemd:/a\n0::/a (deleted)\n")
	f.Add("1 1 0:1 / /a\\040b rw - cgroup cgroup rw,name=systemd\n1 1 x / / - cgroup2 c rw", "0::/../x\n:::\n1:cpu,cpuacct:/\n")
	f.Fuzz(func(t *testing.T, mounts, table string) {
		l := parseMountinfo(mounts, func(string, uint64) bool { return true })
		if (len(l.V1) > 0) != (l.Mode == V1 || l.Mode == Hybrid) || (l.Unified != "") != (l.Mode == V2 || l.Mode == Hybrid) {
			t.Fatalf("mode %s with %+v", l.Mode, l)
		}
		for _, h := range l.V1 {
			if len(h.keys()) == 0 {
				t.Fatalf("a hierarchy without controllers and name: %+v", h)
			}
		}
		for key, p := range parseProcCgroup(table, l) {
			rel, ok := strings.CutPrefix(p, l.Unified)
			if key != "" {
				ok = false
				for _, h := range l.V1 {
					if strings.HasPrefix(p, h.Mountpoint) {
						rel, ok = strings.TrimPrefix(p, h.Mountpoint), true
					}
				}
			}
			if !ok || rel != "" && !strings.HasPrefix(rel, "/") || !strings.Contains(table, strings.TrimSuffix(path.Base("/"+rel), "/")) {
				t.Fatalf("%q: %q of %+v", key, p, l)
			}
		}
	})
}

// FuzzStatFiles: whatever a controller's file says, there is no panic, and a
// number that isn't one is an error with the file's name.
func FuzzStatFiles(f *testing.F) {
	for kind, text := range []string{"max\n", "usage_usec 5\nx -1\n", "1 2 3\n", "0-3,7\n", "some avg10=0.00 avg60=1.5 avg300=2 total=9\nfull avg10=x\n",
		"8:0 Read 5\n8:0 Write 6\nTotal 11\n", "8:0 rbytes=1 wbytes=2 rios=3\n"} {
		f.Add(uint8(kind), []byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		if len(text) > 1<<12 {
			return
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		g := &group{mount: dir, dir: dir, fd: -1}
		defer g.close()
		r := &reader{g: g}
		switch kind % 7 {
		case 0:
			r.known("file")
		case 1:
			r.table("file")
		case 2:
			r.list("file")
		case 3:
			if set := r.set("file"); len(set) > math.MaxUint16*(1+strings.Count(string(text), ",")) {
				t.Fatalf("%d members", len(set))
			}
		case 4:
			r.psi("file")
		case 5:
			r.blkioFile("file")
		case 6:
			if err := os.WriteFile(filepath.Join(dir, "io.stat"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			r.io(&Blkio{})
		}
		if r.err != nil && !strings.Contains(r.err.Error(), dir) {
			t.Fatalf("an error that doesn't say where: %v", r.err)
		}
	})
}
