package usermap

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestUnprivilegedMappingOfOwnIDOnly(t *testing.T) {
	one := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}}
	if !ownOnly(one, 1000) || ownOnly(one, 1001) || ownOnly(append(one, one...), 1000) {
		t.Error("ownOnly")
	}
	if err := Write(os.Getpid(), one, one, true); err == nil {
		t.Error("a second map of a namespace was taken")
	} else if !strings.HasPrefix(err.Error(), "linux.gidMappings: ") {
		t.Errorf("the error doesn't name the field: %v", err)
	}
}

// More lines than fit in a page are refused before the kernel says no more than that they are invalid.
func TestMapOfMoreThanAPage(t *testing.T) {
	var long []specs.LinuxIDMapping
	for i := range uint32(340) {
		long = append(long, specs.LinuxIDMapping{ContainerID: 1000000000 + 2*i, HostID: 2000000000 + 2*i, Size: 1})
	}
	err := Write(os.Getpid(), long, long, true)
	if err == nil || !strings.Contains(err.Error(), "340 mappings take 8160 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestGrants(t *testing.T) {
	table := "# none\n\njo:100000:65536\nmax:1:2\n1000:5:1\njo:x:1\njo:9:0\njo:300000:10"
	for user, want := range map[string][]string{"jo": {"100000-165535", "5-5", "300000-300009"}, "nobody": {"5-5"}} {
		if got := grants(table, user, 1000); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", user, got, want)
		}
	}
}
