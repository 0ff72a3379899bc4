package bundle

import "strings"

// Error is one thing that is wrong with a configuration.
type Error struct {
	// Path is where: a JSON path such as mounts[3].destination or
	// linux.sysctl["net.ipv4.ip_forward"], $ for the document itself, or
	// "line 3, column 7" for text that is not JSON.
	Path string
	// Reason is what is wrong there.
	Reason string
	// Hint is what to try instead; it may be empty.
	Hint string
}

// Error gives `path: reason (hint)`. What is wrong with the whole document has no
// path there: whoever knows where that came from says so.
func (e *Error) Error() string {
	s := e.Reason
	if e.Path != "$" {
		s = e.Path + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Errors is everything that a check found, in the order of the checks; it is
// never empty.
type Errors []*Error

// Error joins the findings by "; ".
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i := range e {
		all[i] = e[i].Error()
	}
	return strings.Join(all, "; ")
}

// Unwrap lets [errors.As] find the first [*Error].
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}
