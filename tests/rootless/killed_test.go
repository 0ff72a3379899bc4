package rootless

import (
	"testing"
	"time"

	"davit/tests/harness"
)

// davit dies at whatever moment of a user's create; a forced delete leaves nothing, and the id is free again.
func TestKilledCreate(t *testing.T) {
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			s := k.user.sandbox(t, k.edit, harness.Args("/bin/sleep", "1000"))
			s.WriteConfig()
			died := 0
			for round := range 25 {
				c := s.Command("create", "--bundle", s.Bundle, s.ID)
				c.Begin()
				time.Sleep(time.Duration(round) * 2 * time.Millisecond)
				_ = c.Process.Kill()
				if c.End().Code != 0 {
					died++
				}
				s.Delete()
				s.CheckHost()
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			if died == 0 {
				t.Error("davit was always faster")
			}
			s.Create().Succeeds()
			s.Delete()
		})
	}
}
