// Package process tests what davit does for a container's processes: exec,
// terminals, hooks, descriptors, attributes, signals. It has no code but tests,
// which drive the command line on the real kernel as root and skip without.
package process
