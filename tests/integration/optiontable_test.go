package integration

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

var updateTable = flag.Bool("update-option-table", false, "write docs/mount-options.md anew; read the difference before you commit it")

// tableRow is an option of config.md's table and what it must do. What it takes
// away has to be there: by the options before it and, for a bind mount, by its source.
type tableRow struct {
	option, before string
	shows, hides   string // options of the mount
	super, noSuper string // options of the superblock; such an option is none of a bind mount's
	spread         string // propagation
	refused        string // kinds of mount that it is refused for
}

// tableRows are the options that `davit features` lists, in that order.
func tableRows(t *testing.T) []tableRow {
	t.Helper()
	rows := map[string]tableRow{
		"bind": {}, "rbind": {}, "defaults": {shows: "rw"}, "silent": {shows: "rw"}, "loud": {shows: "rw"}, "remount": {shows: "nosuid"},
		"noatime": {shows: "noatime", hides: "relatime"}, "atime": {before: "noatime", shows: "relatime", hides: "noatime"},
		"relatime": {before: "noatime", shows: "relatime", hides: "noatime"}, "norelatime": {shows: "relatime"},
		"strictatime": {hides: "relatime,noatime"}, "nostrictatime": {before: "strictatime", shows: "relatime"},
		"tmpcopyup": {refused: "bind proc"}, "idmap": {shows: "idmapped", refused: "proc"}, "ridmap": {shows: "idmapped", refused: "proc"},
	}
	for _, pair := range [][2]string{{"ro", "rw"}, {"nosuid", "suid"}, {"nodev", "dev"}, {"noexec", "exec"}, {"nodiratime", "diratime"}, {"nosymfollow", "symfollow"}} {
		rows[pair[0]], rows[pair[1]] = tableRow{shows: pair[0]}, tableRow{before: pair[0], hides: pair[0]}
	}
	for _, pair := range [][2]string{{"sync", "async"}, {"dirsync", ""}, {"lazytime", "nolazytime"}, {"iversion", "noiversion"}, {"mand", "nomand"}} {
		shown := pair[0]
		if shown == "iversion" || shown == "mand" { // mountinfo has no word for them
			shown = ""
		}
		rows[pair[0]], rows[pair[1]] = tableRow{super: shown, refused: "bind"}, tableRow{before: pair[0], noSuper: shown}
	}
	for _, kind := range []string{"private", "shared", "slave", "unbindable"} {
		rows[kind], rows["r"+kind] = tableRow{spread: kind}, tableRow{spread: kind}
	}
	var all []tableRow
	for _, option := range listedOptions(t) {
		row, ok := rows[option]
		if !ok {
			plain := option[1:]
			if row, ok = rows[plain]; !ok || option[0] != 'r' {
				t.Fatalf("option %s has no row in the table", option)
			}
			if row.before != "" {
				row.before = "r" + row.before
			}
		}
		row.option = option
		all = append(all, row)
	}
	return all
}

func listedOptions(t *testing.T) []string {
	t.Helper()
	var f struct{ MountOptions []string }
	if err := json.Unmarshal([]byte(harness.Tool(t, harness.Binary(t), "features")), &f); err != nil || len(f.MountOptions) < 60 {
		t.Fatalf("davit features lists %d options (%v)", len(f.MountOptions), err)
	}
	return f.MountOptions
}

// recursive tells whether the mounts below a bind mount have to show what the option does, too.
func (r *tableRow) recursive() bool {
	return r.option[0] == 'r' && !slices.Contains([]string{"ro", "rw", "relatime", "remount", "rbind"}, r.option)
}

// mounts of a row's kind at a place. A bind mount's source has what the row takes away.
func (r *tableRow) mounts(kind, at string, plain, strict string) []specs.Mount {
	m := specs.Mount{Destination: at, Type: kind, Source: kind, Options: append(list(r.before), r.option)}
	if kind == "bind" {
		m.Source, m.Options = plain, []string{"bind", r.option}
		if r.before != "" {
			m.Source = strict
		}
		if r.recursive() {
			m.Options[0] = "rbind"
		}
	}
	switch r.option {
	case "idmap", "ridmap":
		m = mapped(m, 100000)
	case "bind", "rbind":
		m.Source = plain // a bind mount, whatever the type says
	case "remount":
		m.Options = []string{"nosuid"}
		second := m
		if m.Options = []string{}; kind == "bind" {
			m.Options = []string{"bind"}
			second.Options = append(second.Options, "bind")
		}
		second.Options = append(second.Options, "remount")
		return []specs.Mount{m, second}
	}
	return []specs.Mount{m}
}

var tableKinds = []string{"bind", "tmpfs", "proc"}

// tableSources mounts what is bound: a tmpfs with another below, and one with all restrictions; shared with the host.
func tableSources(t *testing.T, s *harness.Sandbox) (plain, strict string) {
	t.Helper()
	plain, strict = filepath.Join(s.Dir, "plain"), filepath.Join(s.Dir, "strict")
	for _, dir := range []string{plain, strict} {
		mountTmpfs(t, dir)
		mountTmpfs(t, filepath.Join(dir, "below"))
	}
	const all = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY | unix.MS_NOATIME | unix.MS_NODIRATIME | 256 // MS_NOSYMFOLLOW
	for _, dir := range []string{strict, strict + "/below"} {
		must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|all, ""))
	}
	must(t, unix.Mount("", plain, "", unix.MS_SHARED|unix.MS_REC, ""))
	return plain, strict
}

// Every option on every kind of mount: what it must show, and what docs/mount-options.md says that it shows.
func TestMountOptionTable(t *testing.T) {
	s := harness.New(t)
	plain, strict := tableSources(t, s)
	rows := tableRows(t)
	at := func(i int, kind string) string { return "/m/" + number(i) + "-" + kind }
	for i, r := range rows {
		for _, kind := range tableKinds {
			if !strings.Contains(r.refused, kind) {
				for _, m := range r.mounts(kind, at(i, kind), plain, strict) {
					s.Edit(harness.Mount(m))
				}
			}
		}
	}
	mountinfo := s.Sh("cat /proc/self/mountinfo")
	base := len(harness.BaseSpec("").Mounts)
	var b strings.Builder
	b.WriteString(tableHead)
	for i, r := range rows {
		fmt.Fprintf(&b, "| `%s` ", r.option)
		for _, kind := range tableKinds {
			if strings.Contains(r.refused, kind) {
				s.Spec.Mounts = append(s.Spec.Mounts[:base:base], r.mounts(kind, "/x", plain, strict)...)
				s.Run().Fails("mounts[7]", strings.TrimPrefix(r.option, "r"))
				b.WriteString("| refused ")
				continue
			}
			m := mountAt(t, mountinfo, at(i, kind))
			r.check(t, kind, m)
			b.WriteString("| " + cell(m))
			if kind == "bind" && r.recursive() {
				below := mountAt(t, mountinfo, at(i, kind)+"/below")
				r.check(t, kind, below)
				b.WriteString("<br>below: " + cell(below))
			}
			b.WriteString(" ")
		}
		b.WriteString("|\n")
	}
	t.Log(b.String())
	compareTable(t, b.String())
}

func (r *tableRow) check(t *testing.T, kind string, m *mountLine) {
	t.Helper()
	c := optionCase{options: r.option + " of " + kind, want: r.shows, wantNot: r.hides, super: r.super, superNo: r.noSuper}
	c.check(t, m)
	if r.spread != "" {
		checkPropagation(t, m, r.spread, kind == "bind")
	}
	if want := map[string]string{"bind": "tmpfs", "tmpfs": "tmpfs", "proc": "proc"}[kind]; m.fstype != want && !strings.HasSuffix(r.option, "bind") {
		t.Errorf("%s: type %s", m.at, m.fstype)
	}
}

const tableHead = `# Mount options

What each option of runtime-spec's table (config.md, Linux mount options) does to a bind mount, a new tmpfs and a new proc: what
/proc/self/mountinfo shows inside a container, as ` + "`go test ./tests/integration -run MountOptionTable -v`" + ` sees it; with
` + "`-update-option-table`" + ` it writes this page. First the options of the mount, then those of the superblock, then the propagation.

- An option that takes something away (` + "`suid`, `async`, `rw`" + `) is given behind its opposite, and binds a source that is
  ` + "`ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow`" + `. The other binds are of a source that is shared with the host.
- Options of whole trees (` + "`rro`, `rslave`" + `) are given with rbind; "below" is a mount under the source.
- Options of a filesystem are refused for bind mounts: they would have no effect.
- mountinfo has no word for iversion and mand, nor for the opposite of dirsync.

| option | bind | tmpfs | proc |
|---|---|---|---|
`

// cell describes a mount by the words that mean the same on every kernel.
func cell(m *mountLine) string {
	known := list("rw,ro,nosuid,nodev,noexec,noatime,nodiratime,relatime,nosymfollow,idmapped,sync,dirsync,lazytime,mand,iversion")
	pick := func(options []string) string {
		return "`" + strings.Join(slices.DeleteFunc(slices.Clone(options), func(o string) bool { return !slices.Contains(known, o) }), ",") + "`"
	}
	text := pick(m.options) + " " + pick(m.super)
	for _, tag := range []string{"shared", "master", "unbindable"} {
		if m.tagged(tag) {
			text += " " + strings.Replace(tag, "master", "slave", 1)
		}
	}
	return text
}

func compareTable(t *testing.T, text string) {
	t.Helper()
	const file = "../../docs/mount-options.md"
	if *updateTable {
		must(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if text != string(want) {
		t.Errorf("the table isn't that of %s (-update-option-table writes it anew)", file)
		for line := range strings.Lines(text) {
			if !strings.Contains(string(want), line) {
				t.Log("not there: " + line)
			}
		}
	}
}
