//go:build !seccomp || !cgo

package seccomp

import "github.com/opencontainers/runtime-spec/specs-go"

func generate(*profile, bool) (*compiled, error) {
	return nil, &FieldError{"linux.seccomp", ErrNotBuilt}
}

// built: this build can compile profiles.
const built = false

// LibraryVersion is the version of libseccomp, "" in a build without it.
func LibraryVersion() string { return "" }

func libraryKnows(specs.Arch) bool { return false }
