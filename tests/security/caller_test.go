package security

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// report writes down what a process can have from whoever called davit.
const report = `{ env | sort; pwd; ls /proc/self/fd | tr '\n' ' '; echo; grep -E '^(Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp|Umask|Cpus_allowed:|TracerPid|Groups)' /proc/self/status
	echo nofile $(ulimit -n) core $(ulimit -c); } >/report.part; mv /report.part /report`

// under is a command line in front of davit's own.
func under(script string) []string { return []string{"/bin/sh", "-c", script + `; exec "$@"`, "sh"} }

// hostileCallers are ways to call davit by which something of the caller's might reach a container, or make davit fail.
func hostileCallers(dir string) map[string][]string {
	gone := filepath.Join(dir, "gone")
	return map[string][]string{
		"no environment": {"env", "-i"},
		"environment": {"env", "LD_PRELOAD=/nowhere.so", "LD_LIBRARY_PATH=/nowhere", "GOGC=off", "GOMAXPROCS=1", "GOTRACEBACK=crash", "GODEBUG=madvdontneed=1,asyncpreemptoff=1",
			"LC_ALL=tr_TR.UTF-8", "LANG=xx", "PATH=/nowhere", "HOME=/nowhere", "TMPDIR=/nowhere", "XDG_RUNTIME_DIR=/nowhere", "SECRET=of the caller", "IFS=x",
			"LISTEN_FDS=2", "LISTEN_PID=1", "_LIBCONTAINER_INITPIPE=3", "DAVIT=x", "=x", "1=\n"},
		"working directory is gone":   under(fmt.Sprintf("mkdir %s; cd %s; rmdir %s", gone, gone, gone)),
		"open descriptors":            under("exec 3</ 4</etc/passwd 5>/dev/null 9</proc"),
		"ignored signals":             {"env", "--ignore-signal"},
		"ignored SIGCHLD and SIGPIPE": {"env", "--ignore-signal=CHLD", "--ignore-signal=PIPE"},
		"blocked signals":             {"env", "--block-signal"},
		"few descriptors":             under("ulimit -S -n 32"),
		"no core files, small stack":  under("ulimit -S -s 256"),
		"nice":                        {"nice", "-n", "10"},
		"umask 0":                     under("umask 0"),
		"umask 0777":                  under("umask 0777"),
		"closed streams":              under("exec <&- >&- 2>&-"),
		"a parent that reaps nothing": {"/bin/sh", "-c", `"$@" & wait $!`, "sh"},
	}
}

// The container is the same, whoever calls; davit does its work, and what it makes is its own.
func TestHostileCaller(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "env", "coreutils")
	neutral := reportUnder(t, nil)
	for name, prefix := range hostileCallers(t.TempDir()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := neutral
			got := reportUnder(t, prefix)
			switch name { // these two a container gets from its caller, unless its configuration says otherwise (config.md, process.rlimits and user.umask)
			case "few descriptors":
				want = regexp.MustCompile(`nofile \d+`).ReplaceAllString(want, "nofile 32")
			case "umask 0", "umask 0777":
				want = regexp.MustCompile(`Umask:\t\d+`).ReplaceAllString(want, "Umask:\t0"+strings.TrimPrefix(strings.TrimPrefix(name, "umask "), "0"))
				got = strings.Replace(got, "Umask:\t0000", "Umask:\t0", 1)
			}
			if got != want {
				t.Errorf("the container has\n%s\nwith a neutral caller it has\n%s", got, want)
			}
		})
	}
}

// reportUnder runs, creates and joins a container under a caller, and checks what is left in the state directory in between.
func reportUnder(t *testing.T, prefix []string) string {
	t.Helper()
	s := harness.New(t, harness.Args("/bin/sh", "-c", report+"; exec sleep 1000"))
	s.Spec.Process.Env = []string{"PATH=/bin"}
	s.Prefix = prefix
	s.Create().Succeeds()
	modes(t, s.Root)
	s.Davit("start", s.ID).Succeeds()
	harness.Eventually(t, "the report", func() bool {
		_, err := os.Lstat(s.Path("report"))
		return err == nil
	})
	own := readFile(t, s.Path("report"))
	s.Davit("exec", s.ID, "/bin/sh", "-c", strings.ReplaceAll(report, "/report", "/joined")).Succeeds()
	if joined := readFile(t, s.Path("joined")); own != joined {
		t.Errorf("exec: the process has\n%s\nthe container's own has\n%s", joined, own)
	}
	s.Davit("kill", s.ID, "KILL").Succeeds()
	harness.Eventually(t, "the end", func() bool { return s.Davit("delete", s.ID).Code == 0 })
	return own
}

// modes fails the test if others than the owner can read or change what davit keeps.
func modes(t *testing.T, root string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeNamedPipe != 0 {
			return nil // the container's user opens it, through a descriptor: its directory is closed to everybody else
		}
		if perm := info.Mode().Perm(); perm&0o022 != 0 || perm&0o400 == 0 || d.IsDir() && perm != 0o700 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	}))
}

// State in a place that others can write to is refused, by every command; one of somebody else's is, too.
func TestStateOfOthers(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *harness.Sandbox) error{
		"everybody may write": func(s *harness.Sandbox) error { return os.Chmod(s.Root, 0o777) },
		"a group may write":   func(s *harness.Sandbox) error { return os.Chmod(s.Root, 0o770) },
		"somebody's":          func(s *harness.Sandbox) error { return os.Chown(s.Root, 1000, 1000) },
		"a link to somebody's": func(s *harness.Sandbox) error {
			other := filepath.Join(s.Dir, "other")
			if err := os.Mkdir(other, 0o755); err != nil {
				return err
			}
			if err := os.Chown(other, 1000, 1000); err != nil {
				return err
			}
			_ = os.RemoveAll(s.Root)
			return os.Symlink(other, s.Root)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			must(t, os.MkdirAll(s.Root, 0o700))
			must(t, spoil(s))
			t.Cleanup(func() { _ = os.Chmod(s.Root, 0o700); _ = os.Chown(s.Root, 0, 0) })
			s.WriteConfig()
			for _, args := range [][]string{{"run", "--bundle", s.Bundle, s.ID}, {"create", "--bundle", s.Bundle, s.ID}, {"list"}, {"state", s.ID}, {"delete", "--force", s.ID}} {
				s.Davit(args...).Fails("refusing to use")
			}
		})
	}
	// In a sticky directory others can add entries, but not exchange davit's: what they added isn't believed.
	s := harness.New(t)
	must(t, os.MkdirAll(s.Root, 0o700))
	must(t, os.Chmod(s.Root, fs.ModeSticky|0o777))
	planted := filepath.Join(s.Root, "planted")
	must(t, os.MkdirAll(planted, 0o755))
	must(t, os.WriteFile(filepath.Join(planted, "state.json"), []byte("{}"), 0o644))
	must(t, os.Mkdir(filepath.Join(s.Root, "@seccomp"), 0o755))
	for _, path := range []string{planted, filepath.Join(planted, "state.json"), filepath.Join(s.Root, "@seccomp")} {
		must(t, os.Chown(path, 1000, 1000))
	}
	s.Davit("delete", "--force", "planted").Fails("refusing to use")
	s.Davit("kill", "planted", "KILL").Fails("refusing to use")
	must(t, os.RemoveAll(planted))
	s.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno}}}
	s.Edit(harness.Args("/bin/mkdir", "/made"))
	s.WriteConfig()
	s.Davit("--debug", "run", "--bundle", s.Bundle, s.ID).FailsWith(1, "Operation not permitted", "belongs to user 1000")
	if entries, err := os.ReadDir(filepath.Join(s.Root, "@seccomp")); err != nil || len(entries) != 0 {
		t.Errorf("the cache of somebody else's was used: %v, %v", entries, err)
	}
}

// A configuration that is too large or too deep is refused at once.
func TestConfigLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"large":  {`{"ociVersion": "1.0.0", "annotations": {"a": "` + strings.Repeat("x", 17<<20) + `"}}`, "the limit is"},
		"deep":   {`{"ociVersion": "1.0.0", "x": ` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`, "depth"},
		"deeper": {strings.Repeat(`{"a":`, 3<<20), "depth"},
	} {
		s := harness.New(t)
		must(t, os.MkdirAll(s.Bundle, 0o755))
		must(t, os.WriteFile(filepath.Join(s.Bundle, "config.json"), []byte(c.text), 0o644))
		begun := time.Now()
		r := s.Davit("create", "--bundle", s.Bundle, s.ID)
		if r.Code != 1 || !strings.Contains(r.Stderr(), "level=error") {
			t.Errorf("%s: exit code %d, %s", name, r.Code, r.Stderr())
		}
		if len(r.Stderr()) > 4096 || !strings.Contains(r.Stderr(), c.want) {
			t.Errorf("%s: doesn't say %q: %.300s", name, c.want, r.Stderr())
		}
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("%s: took %s", name, d)
		}
	}
}

// Whatever a configuration, an image or a container's output has in it, the log
// has davit's lines only, and nothing that a terminal would act upon.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	const evil = "x\nlevel=error msg=\"forged\"\r\n{\"level\":\"error\",\"msg\":\"forged\"}\x1b[2J\x1b]0;title\x07\u202e\u2028\x7f\x00"
	noNUL := strings.TrimSuffix(evil, "\x00")
	for name, test := range map[string]struct {
		edit harness.Edit
		id   string
	}{
		"id":                {id: evil},
		"argument":          {edit: harness.Args("/bin/" + noNUL)},
		"working directory": {edit: func(s *specs.Spec) { s.Process.Cwd = "/" + noNUL }},
		"hostname":          {edit: func(s *specs.Spec) { s.Hostname = strings.Repeat(noNUL, 3) }},
		"NUL":               {edit: func(s *specs.Spec) { s.Hostname = evil }},
		"mount":             {edit: harness.Mount(specs.Mount{Destination: "/" + noNUL, Type: noNUL, Source: noNUL, Options: []string{noNUL}})},
		"missing bind":      {edit: harness.Mount(specs.Mount{Destination: "/" + noNUL, Source: "/nowhere/" + noNUL, Options: []string{"bind"}})},
		"capability":        {edit: harness.Capabilities(noNUL)},
		"rlimit":            {edit: func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: noNUL}} }},
		"annotation key":    {edit: func(s *specs.Spec) { s.Annotations = map[string]string{evil: evil, "": ""} }},
		"Landlock":          {edit: landlockPolicy(`{"scoped": [` + string(quoted(evil)) + `]}`)},
		"Landlock's member": {edit: landlockPolicy(`{` + string(quoted(evil)) + `: 1}`)},
		"system call": {edit: func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{noNUL}, Action: specs.ActErrno}}}
		}},
		"seccomp action": {edit: func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.LinuxSeccompAction(noNUL)}
		}},
		"sysctl":           {edit: func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net." + noNUL: noNUL} }},
		"AppArmor profile": {edit: func(s *specs.Spec) { s.Process.ApparmorProfile = noNUL }},
		"device":           {edit: func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/" + noNUL, Type: "p" + noNUL}} }},
		"namespace":        {edit: harness.Namespace(specs.UTSNamespace, "/"+noNUL)},
		"cgroup": {edit: func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Unified: map[string]string{noNUL: noNUL}}
		}},
		"hook and its output": {edit: harness.Hooks(func(h *specs.Hooks) {
			h.CreateRuntime = []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "printf '%b' " + shellQuoted(noNUL) + " >&2; exit 3"}}}
		})},
		"hook's path":          {edit: harness.Hooks(func(h *specs.Hooks) { h.CreateRuntime = []specs.Hook{{Path: "/" + noNUL}} })},
		"interpreter of image": {edit: harness.Args("/script")},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				t.Parallel()
				s := harness.New(t)
				if test.edit != nil {
					s.Edit(test.edit)
				}
				s.WriteFile("/script", "#!/"+noNUL+"\n", 0o755)
				s.WriteConfig()
				id := s.ID
				if test.id != "" {
					id = strings.TrimSuffix(test.id, "\x00") // a NUL can't be in an argument
				}
				log := filepath.Join(s.Dir, "log")
				r := s.Davit("--debug", "--log", log, "--log-format", format, "run", "--bundle", s.Bundle, id)
				text := readFile(t, log)
				for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
					var m map[string]string
					ok := regexp.MustCompile(`^time="[^"]*" level=(debug|info|warning|error) msg="([^"\\]|\\.)*"( \w+="([^"\\]|\\.)*")*$`).MatchString(line)
					if format == "json" {
						ok = json.Unmarshal([]byte(line), &m) == nil && m["level"] != ""
					}
					if text != "" && !ok || m["msg"] == "forged" {
						t.Errorf("a line of the log is %q", line)
					}
				}
				if strings.ContainsAny(text+r.Stderr(), "\x1b\x07\r\x7f\u202e\u2028\x00") {
					t.Errorf("something goes to a terminal as it is: %q, %q", text, r.Stderr())
				}
				if r.Code != 0 && text == "" {
					t.Errorf("exit code %d and no log: %q", r.Code, r.Stderr())
				}
			})
		}
	}
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string always has a JSON form
	return b
}

// shellQuoted is for printf's %b.
func shellQuoted(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, `\`, `\\`).Replace(s) + "'"
}
