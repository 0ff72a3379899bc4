package cli

import "testing"

func TestBundleArgument(t *testing.T) {
	for _, c := range []struct {
		args       []string
		flag, want string
	}{
		{nil, "", "."},
		{[]string{"/b"}, "", "/b"},
		{nil, "/b", "/b"},
	} {
		if got, err := bundleArg(c.args, c.flag); err != nil || got != c.want {
			t.Errorf("%q, %q: %q, %v", c.args, c.flag, got, err)
		}
	}
	if _, err := bundleArg([]string{"/a"}, "/b"); err == nil {
		t.Error("two bundles are taken")
	}
}
