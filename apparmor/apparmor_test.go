package apparmor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeHost is a kernel made of files. A text of "" means that the file is missing.
func fakeHost(t *testing.T, enabled, profiles, current string) host {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	h := host{
		enabled:  file("enabled", enabled),
		profiles: file("profiles", profiles),
		attr:     file("attr", current),
		userNS:   file("user", "x"),
	}
	return h.initial(t)
}

// initial makes the present user namespace of the host the initial one.
func (h host) initial(t *testing.T) host {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(h.userNS, &st); err != nil {
		t.Fatal(err)
	}
	h.initialNS = st.Ino
	return h
}

const someProfiles = `docker-default (enforce)
/usr/bin/man (complain)
/usr/sbin/ntpd//child (enforce)
a profile (with parentheses) (kill)
runc (unconfined)
:lxd://inner (enforce)
last (enforce)`

func TestEnabled(t *testing.T) {
	for text, want := range map[string]bool{"Y\n": true, "Y": true, "N\n": false, "": false, "\n": false} {
		if got := fakeHost(t, text, "", "").isEnabled(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestCheckProfile(t *testing.T) {
	h := fakeHost(t, "Y\n", someProfiles, "unconfined\n")
	for name, want := range map[string]error{
		"":                              nil,
		"unconfined":                    nil,
		"docker-default":                nil,
		"/usr/bin/man":                  nil,
		"/usr/sbin/ntpd//child":         nil,
		"a profile (with parentheses)":  nil,
		"last":                          nil,
		":lxd:inner":                    nil,
		":lxd://inner":                  nil,
		"docker-default//&/usr/bin/man": nil,
		"docker-default//&unconfined":   nil,
		"docker":                        ErrUnknownProfile,
		"docker-default (enforce)":      ErrUnknownProfile,
		"default":                       ErrUnknownProfile,
		"DOCKER-DEFAULT":                ErrUnknownProfile,
		"a profile":                     ErrUnknownProfile,
		"inner":                         ErrUnknownProfile,
		":lxc:inner":                    ErrUnknownProfile,
		"docker-default//&nothing":      ErrUnknownProfile,
		"docker-default//&":             ErrInvalidName,
		"//&docker-default":             ErrInvalidName,
		"docker-default\n":              ErrInvalidName,
		" docker-default":               ErrInvalidName,
		"docker-default\x00x":           ErrInvalidName,
		"last\nlast":                    ErrInvalidName,
		":":                             ErrInvalidName,
	} {
		err := h.checkProfile(name)
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Profile != name || !strings.HasPrefix(err.Error(), Field+" ")) {
			t.Errorf("%q: the error is %v", name, err)
		}
	}
}

func TestCheckProfileWithoutAppArmor(t *testing.T) {
	for _, enabled := range []string{"", "N\n"} {
		h := fakeHost(t, enabled, someProfiles, "")
		for _, name := range []string{"docker-default", "unconfined"} {
			if err := h.checkProfile(name); !errors.Is(err, ErrNotEnabled) {
				t.Errorf("enabled %q, %s: %v", enabled, name, err)
			}
		}
		if err := h.checkProfile(""); err != nil {
			t.Errorf("enabled %q, nothing asked for: %v", enabled, err)
		}
	}
}

func TestCheckProfileWithoutList(t *testing.T) {
	h := fakeHost(t, "Y\n", "", "unconfined\n")
	if err := h.checkProfile("docker-default"); err != nil {
		t.Errorf("securityfs not mounted: %v", err)
	}
	h.profiles = t.TempDir() // a directory: neither missing nor forbidden
	if err := h.checkProfile("docker-default"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("unreadable list: %v", err)
	}
}

func TestLongList(t *testing.T) {
	list := strings.Repeat("some-profile-of-many (enforce)\n", 10000) + "the-last (enforce)\n"
	h := fakeHost(t, "Y\n", list, "unconfined\n")
	if err := h.checkProfile("the-last"); err != nil {
		t.Error(err)
	}
	if err := h.checkProfile("the-next"); !errors.Is(err, ErrUnknownProfile) {
		t.Error(err)
	}
	if _, err := readFile(h.profiles, 8192); !errors.Is(err, errTooLong) {
		t.Errorf("limit of 8192: %v", err)
	}
}

func TestExecAttr(t *testing.T) {
	for _, tt := range []struct {
		current        string
		nested         bool
		profile, write string
	}{
		{"unconfined\n", false, "", ""},
		{"docker-default (enforce)\n", true, "", ""},
		{"unconfined\n", false, "p", "exec p"},
		{"unconfined\n", true, "p", "exec p"},
		{"unconfined\x00", true, "p", "exec p"},
		{"runc (unconfined)\n", true, "p", "exec p"},
		{"docker-default (enforce)\n", false, "p", "exec p"},
		{"docker-default (enforce)\n", true, "p", "stack p"},
		{"docker-default (complain)\n", true, "p", "stack p"},
		{"a//&b (mixed)\n", true, "p", "stack p"},
		{"", true, "p", "exec p"}, // no AppArmor to be confined by
		{"unconfined\n", false, "a b", "exec a b"},
	} {
		h := fakeHost(t, "Y\n", someProfiles, tt.current)
		if tt.nested {
			h.initialNS++
		}
		if got := h.execAttr(tt.profile); got != tt.write {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// A refusal names who refuses, and the rule that would help.
func TestRefused(t *testing.T) {
	h := fakeHost(t, "Y\n", someProfiles, "docker-default (enforce)\n")
	for attr, rule := range map[string]string{"stack a b": `"change_profile -> &a b,"`, "exec p": `"change_profile -> p,"`} {
		err := h.refused(attr, unix.EACCES)
		if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), rule) || !strings.Contains(err.Error(), `"docker-default (enforce)"`) || !strings.HasPrefix(err.Error(), Field) {
			t.Errorf("%s: %v", attr, err)
		}
	}
}

func TestRefusedUnknown(t *testing.T) {
	h := fakeHost(t, "Y\n", someProfiles, "unconfined\n")
	if err := h.refused("exec p", unix.ENOENT); !errors.Is(err, ErrUnknownProfile) || !strings.Contains(err.Error(), `"p"`) {
		t.Error(err)
	}
	if err := h.refused("exec p", unix.EIO); err != nil {
		t.Errorf("an error that says enough became %v", err)
	}
}

// The host that runs the test, whatever it has.
func TestThisHost(t *testing.T) {
	if Enabled() {
		if err := CheckProfile(Unconfined); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(system().profiles); err == nil {
			if err := CheckProfile("no-profile-has-this-name"); !errors.Is(err, ErrUnknownProfile) {
				t.Error(err)
			}
		}
	} else if err := CheckProfile("docker-default"); !errors.Is(err, ErrNotEnabled) {
		t.Error(err)
	}
	if got := ExecAttr("p"); got != "exec p" && got != "stack p" {
		t.Errorf("%q", got)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/1/ns/user", &st); err == nil && st.Ino == system().initialNS && system().nested() {
		var own unix.Stat_t
		if err := unix.Stat("/proc/self/ns/user", &own); err != nil || own.Ino == st.Ino {
			t.Error("the initial user namespace counts as nested")
		}
	}
}

func FuzzListed(f *testing.F) {
	f.Add([]byte(someProfiles), "docker-default")
	f.Add([]byte(":a://b (x)\n"), ":a:b")
	f.Fuzz(func(t *testing.T, list []byte, name string) {
		if !validName(name) {
			return
		}
		if listed(list, name) && !strings.Contains(string(list), strings.TrimPrefix(name[strings.LastIndex(name, ":")+1:], "//")) {
			t.Errorf("%q found in %q", name, list)
		}
	})
}
