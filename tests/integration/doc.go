// Package integration tests davit from the outside: real containers on the
// real kernel, driven by the command line. It has no code but tests; they run
// as root and skip without.
package integration
