// Package systemd tests containers that are units of systemd's (--systemd-cgroup), as its users
// see them.
//
// Where systemd is the first process, as in the machine of `make vm-test`, they are real ones,
// root's and a user's. Elsewhere a double takes its place (cgroups/systemd/systemdtest), behind
// the same socket in a mount namespace of its own, and makes real cgroups: as this host mounts
// them, and of each version alone. What a host has in version 1 lacks in version 2.
package systemd
