// Package conformance runs the validation programs of opencontainers/runtime-tools
// against davit. Its tests keep the list of what fails there and why: a case that
// fails without being explained fails the test, and so does an explanation of
// which the case passes.
package conformance
