// Package unfit is the error of a kernel, or of what belongs to it, that cannot
// be used; any other error is this host's.
package unfit

import "fmt"

// Error says what is wrong with a kernel.
type Error struct{ err error }

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// New is fmt.Errorf for an Error.
func New(format string, args ...any) error { return &Error{fmt.Errorf(format, args...)} }
