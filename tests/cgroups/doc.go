// Package cgroups tests control groups by what they do to real containers:
// limits bind, devices open or don't, a pause stops and a kill ends, nothing is
// left. Every test runs in the host's own layout and again in private views with
// version 1 hierarchies alone and with the unified hierarchy alone.
package cgroups
