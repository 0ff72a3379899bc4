package state

import (
	"errors"
	"fmt"
)

// What engines match in the errors of a runtime are these phrases, verbatim.
var (
	// ErrExist: a container, or what is left of one, has the ID already.
	ErrExist = errors.New("container with given ID already exists")
	// ErrNotExist: there is no container of that ID, or none that was ever
	// finished or has not been removed in the meantime.
	ErrNotExist = errors.New("container does not exist")
	// ErrInvalidID: the ID is not one that ValidateID takes.
	ErrInvalidID = errors.New("invalid container ID format")
	// ErrLocked: another process, or another Dir of this one, holds the lock.
	ErrLocked = errors.New("container is locked: another command is working on it")
)

// IDError says which ID of which store an error is about. It unwraps to one of
// the errors above.
type IDError struct {
	ID   string
	Root string // the store, "" where no store was asked
	Why  string // more words, or ""
	Err  error
}

func (e *IDError) Error() string {
	s := fmt.Sprintf("%v: %.256q", e.Err, e.ID)
	if e.Root != "" {
		s += " in " + e.Root
	}
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

func (e *IDError) Unwrap() error { return e.Err }

// maxID is the length of a path component (NAME_MAX): the ID is a directory's
// name.
const maxID = 255

// ValidateID checks that id can name a container: 1 to 255 of the characters
// A-Z a-z 0-9 _ + - . but not "." or "..". Names that hold another character can
// never be a container's, and are free for other uses of the store's root.
func ValidateID(id string) error {
	why := ""
	switch {
	case id == "":
		why = "it is empty"
	case len(id) > maxID:
		why = fmt.Sprintf("it has %d bytes, the limit is %d", len(id), maxID)
	case id == "." || id == "..":
		why = "it names a directory"
	default:
		for _, c := range []byte(id) {
			if !idByte(c) {
				why = "only letters, digits, '_', '+', '-' and '.' are allowed"
				break
			}
		}
	}
	if why == "" {
		return nil
	}
	return &IDError{ID: id, Why: why, Err: ErrInvalidID}
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '+' || c == '-' || c == '.'
}
