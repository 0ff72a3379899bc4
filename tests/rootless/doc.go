// Package rootless tests davit for callers without privilege: ordinary users
// with and without subordinate ids, with and without cgroups, uid 0 of a user
// namespace, davit inside of its own containers; and user namespaces as root
// makes them.
//
// The users are entries of an /etc that only the tests see, in a mount
// namespace of their own.
package rootless
