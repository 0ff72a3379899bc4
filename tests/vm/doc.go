// Package vm tests davit where few hosts of developers can: under systemd as the first process, the whole of cgroup v2,
// AppArmor, SELinux in enforcing mode, and with every capability.
//
// `make vm-test` makes a machine for it (guest.sh: a small Debian, cached), boots it in qemu once per security module,
// and runs in it the tests of this package and those suites that find more there than on a usual host (vmtest/suites.go).
// Outside of the machine they are not run.
package vm
