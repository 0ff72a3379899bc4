package cgroups

import (
	"testing"

	"davit/tests/harness"
)

// BenchmarkRun is a whole `davit run` of a process that ends at once, without limits and
// with usual ones: what the parts that BenchmarkLife of package cgroups measures belong to.
func BenchmarkRun(b *testing.B) {
	for _, c := range []struct{ name, res string }{
		{"none", ""},
		{"devices", `{"devices":[{"allow":false,"access":"rwm"}]}`},
		{"pod", `{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":67108864,"swap":67108864},"cpu":{"shares":204,"quota":20000,"period":100000},"pids":{"limit":1024}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := harness.New(b)
			if c.name == "pod" && !onV1("pids") && !onV2("pids") {
				b.Skip("this layout has no controllers for a pod's limits")
			}
			if c.res != "" {
				s.Edit(resources(b, c.res))
			}
			s.WriteConfig()
			for b.Loop() {
				s.Davit("run", "--bundle", s.Bundle, s.ID).Succeeds()
			}
		})
	}
}
