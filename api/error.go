package api

import "errors"

// Kind classifies an error. Kinds are stable: programs decide by them, people
// read the message and the hint.
type Kind string

// The kinds of errors.
const (
	KindNotFound           Kind = "not_found"
	KindAlreadyExists      Kind = "already_exists"
	KindInvalid            Kind = "invalid"
	KindFailedPrecondition Kind = "failed_precondition"
	KindBusy               Kind = "busy"
	KindUnavailable        Kind = "unavailable"
	KindCanceled           Kind = "canceled"
	KindDeadlineExceeded   Kind = "deadline_exceeded"
	KindInternal           Kind = "internal"
)

// Error is an error as it crosses the socket.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`        // one sentence, without the kind
	Hint    string `json:"hint,omitempty"` // what to do next, one sentence
	// Operation is the ID of the operation that is in the way (busy) or that
	// failed; empty otherwise.
	Operation string `json:"operation,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// Is makes errors.Is(err, &Error{Kind: k}) match by kind alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Message == "" || t.Message == e.Message)
}

// Errorf-free constructor: the message is ready text.
func NewError(kind Kind, message, hint string) *Error {
	return &Error{Kind: kind, Message: message, Hint: hint}
}

// KindOf returns the kind of the first *Error in err's chain, KindInternal if
// there is none, and "" for a nil error.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
