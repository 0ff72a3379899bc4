package plan

import (
	"slices"
	"strings"
	"testing"

	"davit/nsenter"
)

func TestMountContextType(t *testing.T) {
	for kind, want := range map[string]string{"": "context=l", "context": "context=l", "rootcontext": "rootcontext=l", "contexts": ""} {
		in := input(patched(t, `{"linux":{"mountLabel":"l"}}`))
		in.Facts.SELinux = true
		in.Spec.Annotations = map[string]string{MountContextType: kind}
		p, err := Compile(in)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), MountContextType) || !strings.Contains(err.Error(), kind) {
				t.Errorf("%q: %v", kind, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%q: %v", kind, err)
		}
		i := slices.IndexFunc(p.World, func(in nsenter.Instr) bool { m, ok := in.Op.(nsenter.Mount); return ok && m.Type == "tmpfs" })
		if got := p.World[i].Op.(nsenter.Mount).Options; !slices.Contains(got, want) {
			t.Errorf("%q: the options are %q", kind, got)
		}
	}
}

// The groups that are kept are the caller's alone, and who asks for others as well is told.
func TestKeepGroups(t *testing.T) {
	for value, keep := range map[string]bool{"1": true, "true": true, "0": false, "false": false, "": false} {
		in := input(patched(t, `{"process":{"user":{"additionalGids":[5]}}}`))
		in.Spec.Annotations = map[string]string{KeepGroups: value}
		p, process := compile(t, in)
		i := slices.IndexFunc(process, func(in nsenter.Instr) bool { return is[nsenter.User](in.Op) })
		if got := process[i].Op.(nsenter.User); (got.SetGroups == 0) != keep {
			t.Errorf("%q: setgroups is %d", value, got.SetGroups)
		}
		warned := slices.ContainsFunc(p.Warnings, func(w *Warning) bool { return w.Field == "process.user.additionalGids" })
		if warned != keep {
			t.Errorf("%q: the warnings are %v", value, p.Warnings)
		}
	}
}
