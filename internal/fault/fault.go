// Package fault is the error that a user is meant to see: a kind, a sentence
// and the next step. Rooms return it (wrapped or not), the service edge turns
// it into an api.Error; any other error is an internal one there.
package fault

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Kind classifies a fault; the values are those of the wire.
type Kind string

// The kinds.
const (
	NotFound     Kind = "not_found"
	Exists       Kind = "already_exists"
	Invalid      Kind = "invalid"
	Precondition Kind = "failed_precondition"
	Busy         Kind = "busy"
	Unavailable  Kind = "unavailable"
	Canceled     Kind = "canceled"
	Deadline     Kind = "deadline_exceeded"
	Internal     Kind = "internal"
)

// Error is a fault.
type Error struct {
	Kind      Kind
	Message   string // one sentence
	Hint      string // what to do next; may be empty
	Operation string // the operation in the way, or the one that failed
	Err       error  // what is below it; may be nil
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns what is below the fault.
func (e *Error) Unwrap() error { return e.Err }

// New makes a fault; format may carry %w.
func New(kind Kind, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}

// KindOf returns the kind of the first fault in err's chain; context errors
// are Canceled and Deadline, a full disk is Unavailable, any other error is
// Internal, nil is "".
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline
	case noSpace(err):
		return Unavailable
	}
	return Internal
}

// Except makes an error of that kind none.
func Except(err error, kind Kind) error {
	if KindOf(err) == kind {
		return nil
	}
	return err
}

// noSpace reports whether err is a full disk, or a quota that is used up.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// From returns the first fault in err's chain with err's whole message, or a
// new one of KindOf(err), with a hint where the disk is full; nil for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return &Error{Kind: e.Kind, Message: err.Error(), Hint: e.Hint, Operation: e.Operation, Err: err}
	}
	e = &Error{Kind: KindOf(err), Message: err.Error(), Err: err}
	if noSpace(err) {
		e.Hint = "Free some space there (banger image ls and banger ls show what banger keeps), then try again."
	}
	return e
}
