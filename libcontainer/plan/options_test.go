package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

const (
	ro     = unix.MOUNT_ATTR_RDONLY
	nosuid = unix.MOUNT_ATTR_NOSUID
)

// Every option of the table in config.md, "Linux mount options", means
// something of its own: none is taken for another, or for the filesystem's.
func TestOptionTable(t *testing.T) {
	own := func(set, clear uint64) mountOptions { return mountOptions{own: attributes{set, clear}} }
	tree := func(set, clear uint64) mountOptions {
		return mountOptions{own: attributes{set, clear}, tree: attributes{set, clear}}
	}
	super := func(flag uint64) mountOptions { return mountOptions{super: flag} }
	spread := func(flag uint64) mountOptions { return mountOptions{propagation: flag} }
	none := mountOptions{}
	for option, want := range map[string]mountOptions{
		"async": none, "atime": own(0, atime), "bind": {bind: true}, "defaults": none, "dev": own(0, unix.MOUNT_ATTR_NODEV),
		"diratime": own(0, unix.MOUNT_ATTR_NODIRATIME), "dirsync": super(unix.MS_DIRSYNC), "exec": own(0, unix.MOUNT_ATTR_NOEXEC),
		"iversion": super(unix.MS_I_VERSION), "lazytime": super(unix.MS_LAZYTIME), "loud": none, "mand": super(unix.MS_MANDLOCK),
		"noatime": own(unix.MOUNT_ATTR_NOATIME, atime), "nodev": own(unix.MOUNT_ATTR_NODEV, 0), "nodiratime": own(unix.MOUNT_ATTR_NODIRATIME, 0),
		"noexec": own(unix.MOUNT_ATTR_NOEXEC, 0), "noiversion": none, "nolazytime": none, "nomand": none, "norelatime": none,
		"nostrictatime": own(0, atime), "nosuid": own(nosuid, 0), "nosymfollow": own(unix.MOUNT_ATTR_NOSYMFOLLOW, 0), "private": spread(unix.MS_PRIVATE),
		"ratime": tree(0, atime), "rbind": {bind: true, recursive: true}, "rdev": tree(0, unix.MOUNT_ATTR_NODEV), "rdiratime": tree(0, unix.MOUNT_ATTR_NODIRATIME),
		"relatime": own(0, atime), "remount": {remount: true}, "rexec": tree(0, unix.MOUNT_ATTR_NOEXEC), "rnoatime": tree(unix.MOUNT_ATTR_NOATIME, atime),
		"rnodev": tree(unix.MOUNT_ATTR_NODEV, 0), "rnodiratime": tree(unix.MOUNT_ATTR_NODIRATIME, 0), "rnoexec": tree(unix.MOUNT_ATTR_NOEXEC, 0), "rnorelatime": none,
		"rnostrictatime": tree(0, atime), "rnosuid": tree(nosuid, 0), "rnosymfollow": tree(unix.MOUNT_ATTR_NOSYMFOLLOW, 0), "ro": own(ro, 0),
		"rprivate": spread(unix.MS_PRIVATE | unix.MS_REC), "rrelatime": tree(0, atime), "rro": tree(ro, 0), "rrw": tree(0, ro),
		"rshared": spread(unix.MS_SHARED | unix.MS_REC), "rslave": spread(unix.MS_SLAVE | unix.MS_REC), "rstrictatime": tree(unix.MOUNT_ATTR_STRICTATIME, atime),
		"rsuid": tree(0, nosuid), "rsymfollow": tree(0, unix.MOUNT_ATTR_NOSYMFOLLOW), "runbindable": spread(unix.MS_UNBINDABLE | unix.MS_REC), "rw": own(0, ro),
		"shared": spread(unix.MS_SHARED), "silent": none, "slave": spread(unix.MS_SLAVE), "strictatime": own(unix.MOUNT_ATTR_STRICTATIME, atime),
		"suid": own(0, nosuid), "symfollow": own(0, unix.MOUNT_ATTR_NOSYMFOLLOW), "sync": super(unix.MS_SYNCHRONOUS), "tmpcopyup": {copyUp: true},
		"unbindable": spread(unix.MS_UNBINDABLE), "idmap": {idmap: true}, "ridmap": {idmap: true, idmapTree: true},
		"user": own(nosuid|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, 0), "group": own(nosuid|unix.MOUNT_ATTR_NODEV, 0), "nofail": none, "X-mount.mkdir=755": none,
		"X-mount.subdir=x": {unsupported: "X-mount.subdir=x"}, "loop": {unsupported: "loop"},
		// Not in the table: mount(8)'s own, and the filesystem's.
		"_netdev": none, "x-systemd.automount": none, "rsize=1": {data: []string{"rsize=1"}}, "r": {data: []string{"r"}}, "rremount": {data: []string{"rremount"}},
		"rbin": {data: []string{"rbin"}}, "": {data: []string{""}}, "RO": {data: []string{"RO"}}, "rrro": {data: []string{"rrro"}},
	} {
		if got := parseOptions([]string{option}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", option, got, want)
		}
	}
}

// Of options that contradict each other the later one wins, whether it is about the mount or the tree.
func TestOptionOrder(t *testing.T) {
	for options, want := range map[string]mountOptions{
		"ro,rw":                     {own: attributes{0, ro}},
		"rw,ro":                     {own: attributes{ro, 0}},
		"ro,rrw":                    {own: attributes{0, ro}, tree: attributes{0, ro}},
		"rro,rw":                    {own: attributes{0, ro}, tree: attributes{ro, 0}},
		"rro,nosuid":                {own: attributes{ro | nosuid, 0}, tree: attributes{ro, 0}},
		"rrw,ro":                    {own: attributes{ro, 0}, tree: attributes{0, ro}},
		"noatime,rstrictatime":      {own: attributes{unix.MOUNT_ATTR_STRICTATIME, atime}, tree: attributes{unix.MOUNT_ATTR_STRICTATIME, atime}},
		"noatime,strictatime,atime": {own: attributes{0, atime}},
		"strictatime,nostrictatime": {own: attributes{0, atime}},
		"noatime,nostrictatime":     {own: attributes{unix.MOUNT_ATTR_NOATIME, atime}},
		"noatime,norelatime":        {own: attributes{unix.MOUNT_ATTR_NOATIME, atime}},
		"sync,async":                {},
		"async,sync":                {super: unix.MS_SYNCHRONOUS},
		"iversion,noiversion":       {},
		"private,rprivate":          {propagation: unix.MS_PRIVATE | unix.MS_REC},
		"slave,shared":              {propagation: unix.MS_SLAVE | unix.MS_SHARED},
		"rslave,rshared,rslave":     {propagation: unix.MS_SLAVE | unix.MS_SHARED | unix.MS_REC},
		"slave,rshared":             {propagation: unix.MS_SLAVE, mixed: true},
		"shared,private":            {propagation: unix.MS_SHARED, mixed: true},
	} {
		if got := parseOptions(strings.Split(options, ",")); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", options, got, want)
		}
	}
}

func TestFilesystemOptions(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"size=1m", "mode=1777"}, []string{"size=1m", "mode=1777"}},
		{[]string{"size=1m,mode=1777", "uid=1"}, []string{"size=1m", "mode=1777", "uid=1"}},
		{[]string{",size=1m,,"}, []string{"size=1m"}},
		{[]string{`lowerdir=/a\,b,upperdir=/c`}, []string{`lowerdir=/a\,b`, "upperdir=/c"}},
		{[]string{`context="u:r:t:s0:c1,c2",size=1`}, []string{"context=u:r:t:s0:c1,c2", "size=1"}},
		{[]string{`name="a,b"`}, []string{`name="a,b"`}},
		{[]string{`x\`, "a,b"}, []string{`x\`, "a", "b"}},
	} {
		if got := fsOptions(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// What a mount asks for and davit or the kernel can't do is an error that says which mount.
func TestRefusedMounts(t *testing.T) {
	bind := func(options ...string) specs.Mount {
		return specs.Mount{Destination: "/x", Source: "/y", Options: append([]string{"bind"}, options...)}
	}
	tmpfs := func(options ...string) specs.Mount {
		return specs.Mount{Destination: "/x", Type: "tmpfs", Options: options}
	}
	at := func(m specs.Mount, destination string) specs.Mount { m.Destination = destination; return m }
	cgroup := func(kind string, options ...string) specs.Mount {
		return specs.Mount{Destination: "/x", Type: kind, Options: options}
	}
	mapped := func(m specs.Mount) specs.Mount {
		m.UIDMappings = []specs.LinuxIDMapping{{HostID: 1, Size: 1}}
		m.GIDMappings = m.UIDMappings
		return m
	}
	unprivileged := rootFacts()
	unprivileged.EUID = 1000
	noCgroups, halfCgroups := rootFacts(), hybridFacts()
	noCgroups.Cgroups = nil
	delete(halfCgroups.CgroupPaths, "memory")
	hidden := rootFacts()
	hidden.CgroupPaths = nil
	for _, c := range []struct {
		mount  specs.Mount
		facts  Facts
		reason string
	}{
		{bind("idmap"), rootFacts(), "user namespace to take them from"},
		{mapped(bind()), unprivileged, "unprivileged user"},
		{mapped(bind("remount")), rootFacts(), "remount"},
		{mapped(tmpfs("tmpcopyup")), rootFacts(), "tmpcopyup"},
		{mapped(cgroup("proc")), rootFacts(), "type proc"},
		{mapped(cgroup("cgroup2")), rootFacts(), "type cgroup2"},
		{specs.Mount{Destination: "/x", Source: "/y", Options: []string{"bind"}, UIDMappings: []specs.LinuxIDMapping{{Size: 1}}}, rootFacts(), "together"},
		{tmpfs("X-mount.owner=1"), rootFacts(), "mount(8)"},
		{bind("tmpcopyup"), rootFacts(), "tmpcopyup"},
		{tmpfs("tmpcopyup", "remount"), rootFacts(), "tmpcopyup"},
		{tmpfs("slave", "rshared"), rootFacts(), "propagation"},
		{at(specs.Mount{Options: []string{"bind"}}, "/"), rootFacts(), "source"},
		{bind("size=1m"), rootFacts(), `"size=1m"`},
		{bind("sync"), rootFacts(), `"sync"`},
		{bind("iversion", "mand"), rootFacts(), `"mand"`},
		{tmpfs("remount", "rro"), rootFacts(), "tree"},
		{cgroup("cgroup"), noCgroups, "no cgroups"},
		{cgroup("cgroup2"), v1Facts(), "unified"},
		{cgroup("cgroup", "memory"), hybridFacts(), `"memory"`},
		{cgroup("cgroup"), halfCgroups, "/sys/fs/cgroup/memory"},
		{cgroup("cgroup"), hidden, "unified"},
	} {
		spec := patched(t, `{"linux": {"namespaces": [`+allNew+`]}}`)
		spec.Mounts = []specs.Mount{c.mount}
		in := input(spec)
		in.Facts = c.facts
		_, err := Compile(in)
		e, ok := err.(*Error)
		if !ok || !strings.HasPrefix(e.Field, "mounts[0] (") || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%+v: got %v, want an error of mounts[0] about %q", c.mount, err, c.reason)
		}
	}
}

// A read-only /dev or tmpfs turns so when nothing has to be made in it any more, and no mount but that one does.
func TestReadOnlyLast(t *testing.T) {
	mount := func(destination, kind string, options ...string) specs.Mount {
		return specs.Mount{Destination: destination, Type: kind, Source: kind, Options: options}
	}
	for name, c := range map[string]struct {
		mounts []specs.Mount
		last   []string // targets of remounts at the end
	}{
		"dev":            {[]specs.Mount{mount("/dev/", "devtmpfs", "ro"), mount("/dev/shm", "tmpfs")}, []string{"/dev/"}},
		"nested":         {[]specs.Mount{mount("/a", "tmpfs", "ro", "noexec"), mount("/a/b", "tmpfs", "rro")}, []string{"/a", "/a/b"}},
		"not a tmpfs":    {[]specs.Mount{mount("/proc", "proc", "ro"), mount("/sys", "sysfs", "ro")}, nil},
		"writable":       {[]specs.Mount{mount("/a", "tmpfs", "ro", "rw")}, nil},
		"hidden":         {[]specs.Mount{mount("/a/b", "tmpfs", "ro"), mount("/a", "tmpfs")}, nil},
		"same name":      {[]specs.Mount{mount("/a", "tmpfs", "ro"), mount("/ab", "tmpfs")}, []string{"/a"}},
		"remounted":      {[]specs.Mount{mount("/a", "tmpfs", "ro"), mount("/a", "", "remount", "rw")}, nil},
		"somebody's dev": {[]specs.Mount{mount("/dev", "bind", "bind", "ro")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			spec := patched(t, "")
			spec.Mounts = c.mounts
			p, _ := compile(t, input(spec))
			var last []string
			late := false
			for i, in := range p.World {
				switch op := in.Op.(type) {
				case nsenter.SendFile:
					late = true
				case nsenter.Mount:
					// At once: by itself, or right after it has taken over the directory's mode.
					next, _ := p.World[i+1].Op.(nsenter.Remount)
					if kept := op.Attr&ro != 0 || next.Target == op.Target; kept != (slices.Contains(c.mounts[index(t, in.Field)].Options, "ro") && !slices.Contains(c.last, op.Target)) && name != "writable" && name != "nested" {
						t.Errorf("%s is mounted read-only: %t", op.Target, kept)
					}
				case nsenter.Remount:
					if late {
						if op.Flags&(unix.MS_BIND|unix.MS_RDONLY) != unix.MS_BIND|unix.MS_RDONLY {
							t.Errorf("%s is remounted with flags %#x", op.Target, op.Flags)
						}
						last = append(last, op.Target)
					}
				}
			}
			if !slices.Equal(last, c.last) {
				t.Errorf("made read-only at the end: %q, want %q", last, c.last)
			}
		})
	}
}

// index is i of a field mounts[i] (…).
func index(t *testing.T, field string) int {
	t.Helper()
	if len(field) < 9 || field[:7] != "mounts[" || field[8] != ']' {
		t.Fatalf("field %q", field)
	}
	return int(field[7] - '0')
}
