package libcontainer

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/process"
	"davit/libcontainer/state"
)

// What a record that isn't finished says of a container whose process runs another program than the stage.
func TestUnfinishedStatus(t *testing.T) {
	for name, c := range map[string]struct {
		restored        bool
		creator, orphan specs.ContainerState // while the lock is held, and afterwards
	}{
		"executed": {false, specs.StateRunning, specs.StateRunning},
		"restored": {true, specs.StateCreating, specs.StateStopped},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "state")
			store, err := state.Open(root)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			dir, err := store.Create("c")
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			child := exec.Command("sleep", "100")
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
			id, err := process.Identify(child.Process.Pid)
			if err == nil {
				err = dir.TryLock()
			}
			if err == nil {
				err = dir.Begin(&state.Record{ID: "c", OCIVersion: "1.3.0", Bundle: "/", Rootfs: "/rootfs", Created: time.Now(), Init: id, Restored: c.restored})
			}
			if err != nil {
				t.Fatal(err)
			}
			rt, err := New(Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			expect := func(want specs.ContainerState) {
				t.Helper()
				st, err := rt.State("c")
				if err != nil {
					t.Fatal(err)
				}
				if st.Status != want || (st.PID == 0) != (want == specs.StateStopped) {
					t.Errorf("it is %s with pid %d, want %s", st.Status, st.PID, want)
				}
			}
			expect(c.creator)
			if err := dir.Unlock(); err != nil {
				t.Fatal(err)
			}
			expect(c.orphan)
			if err := dir.Finish(); err != nil {
				t.Fatal(err)
			}
			expect(specs.StateRunning)
			if _, err := os.Stat(filepath.Join(root, "c", "state.json")); err != nil {
				t.Error(err)
			}
		})
	}
}
