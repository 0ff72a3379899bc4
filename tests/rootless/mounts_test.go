package rootless

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// What an ordinary user can mount, and what only root can.
func TestMounts(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := k.user
			s := u.sandbox(t, k.edit)
			volume := filepath.Join(s.Dir, "volume")
			must(t, os.MkdirAll(filepath.Join(volume, "sub"), 0o700))
			must(t, os.WriteFile(filepath.Join(volume, "file"), []byte("volume\n"), 0o600))
			s.WriteFile("/srv/data/file", "image\n", 0o640)
			u.own(t, s.Dir)
			must(t, os.WriteFile(s.Path("/srv/data/roots"), nil, 0o644)) // whom no user maps
			s.Edit(harness.Mount(specs.Mount{Destination: "/srv", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "nosuid", "nodev", "size=1m"}}),
				harness.Mount(specs.Mount{Destination: "/volume", Source: volume, Options: []string{"rbind", "rprivate", "rro", "rnosuid"}}),
				harness.Mount(specs.Mount{Destination: "/shown", Source: "/usr", Options: []string{"rbind", "ro"}}))
			out := s.Sh("cat /srv/data/file /volume/file; stat -c '%n %a %u' /srv/data/file; stat -c %u /srv/data/roots; touch /srv/new; touch /volume/new 2>/dev/null || echo refused; ls -d /shown/bin")
			nobody := "65534"
			if len(s.Spec.Linux.UIDMappings) == 1 {
				nobody = "0" // it isn't mapped either
			}
			if want := "image\nvolume\n/srv/data/file 640 0\n" + nobody + "\nrefused\n/shown/bin\n"; out != want {
				t.Errorf("got\n%swant\n%s", out, want)
			}
			s.Edit(harness.Mount(specs.Mount{Destination: "/mapped", Source: volume, Options: []string{"bind", "idmap"}}))
			i := len(s.Spec.Mounts) - 1
			s.Run().Fails("(/mapped)", "an unprivileged user can't map the ids of a mount", "run davit as root")
			s.Spec.Mounts[i] = specs.Mount{Destination: "/disk", Type: "ext4", Source: "/dev/null"}
			s.Run().Fails("(/disk)")
			if s.Spec.Mounts[i].Options = []string{"bind"}; strings.Contains(s.Run().Stderr(), "(/disk)") {
				t.Error("a device node can't be bound")
			}
		})
	}
}
