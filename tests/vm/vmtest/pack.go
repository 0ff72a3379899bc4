package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// programs are what tests run in containers: their packages.
var programs = [...]string{"tests/harness/probe", "tests/process/inside"}

// read is what tests read of the module besides their test data.
var read = [...]string{"go.mod", "docs/mount-options.md"}

// pack writes the archive of a job: the script, davit, the tests, and what they read.
func (r *runner) pack(job, script string, suites []suite) error {
	f, err := os.Create(job)
	if err != nil {
		return err
	}
	defer f.Close()
	t := &archive{tar.NewWriter(f)}
	if err := t.data("run", []byte(script), 0o755); err != nil {
		return err
	}
	if err := t.file("davit", r.davit); err != nil {
		return err
	}
	for _, f := range read {
		if err := t.file("src/"+f, f); err != nil {
			return err
		}
	}
	dir := filepath.Dir(job)
	for _, p := range programs {
		out := filepath.Join(dir, path.Base(p))
		if err := golang("build", "-o", out, "./"+p); err != nil {
			return err
		}
		if err := t.file("programs/"+path.Base(p), out); err != nil {
			return err
		}
	}
	for _, s := range suites {
		out := filepath.Join(dir, s.name+".test")
		if err := golang("test", "-c", "-tags", r.tags, "-o", out, "./"+s.dir); err != nil {
			return err
		}
		if err := t.file("tests/"+s.name+".test", out); err != nil {
			return err
		}
		if err := t.sources(s.dir); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return f.Close()
}

// golang builds static programs: the machine's C library is another.
func golang(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// archive is a tar archive whose entries belong to root.
type archive struct{ *tar.Writer }

func (t *archive) data(name string, data []byte, mode int64) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := t.Write(data)
	return err
}

func (t *archive) file(name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// sources packs the directory that a package's tests run in, with its test data.
func (t *archive) sources(dir string) error {
	if err := t.WriteHeader(&tar.Header{Name: "src/" + dir + "/", Mode: 0o755, Typeflag: tar.TypeDir}); err != nil {
		return err
	}
	data := filepath.Join(dir, "testdata")
	if _, err := os.Stat(data); err != nil {
		return nil // no test data
	}
	return filepath.WalkDir(data, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return t.file("src/"+filepath.ToSlash(p), p)
	})
}
