// Package man holds the manual pages that are installed with davit. They, and
// the completions, are made from the commands themselves.
package man

//go:generate go run ./gen . ../../completions
