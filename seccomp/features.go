package seccomp

import "github.com/opencontainers/runtime-spec/specs-go/features"

// LibseccompAnnotation is the key under which the features of a runtime carry
// [LibraryVersion].
const LibseccompAnnotation = "io.github.seccomp.libseccomp.version"

// Features is the linux.seccomp part of the features document (features-linux.md).
// In a build without libseccomp it says that seccomp isn't enabled. It asks the
// kernel about each flag, one system call for each, and loads nothing.
func Features() *features.Seccomp {
	enabled := built
	f := &features.Seccomp{Enabled: &enabled}
	if !built {
		return f
	}
	f.Actions = actionNames()
	f.Operators = operatorNames()
	for _, a := range archNames() {
		if libraryKnows(a) {
			f.Archs = append(f.Archs, string(a))
		}
	}
	for _, name := range flagNames() {
		f.KnownFlags = append(f.KnownFlags, string(name))
	}
	f.SupportedFlags = supportedFlags()
	return f
}
