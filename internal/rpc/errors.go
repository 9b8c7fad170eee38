package rpc

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
)

// The codes of JSON-RPC itself; a kind's own code is outside their range.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
)

// Code returns the JSON-RPC error code of a kind.
func Code(kind api.Kind) int {
	switch kind {
	case api.KindNotFound:
		return 1
	case api.KindAlreadyExists:
		return 2
	case api.KindInvalid:
		return 3
	case api.KindFailedPrecondition:
		return 4
	case api.KindBusy:
		return 5
	case api.KindUnavailable:
		return 6
	case api.KindCanceled:
		return 7
	case api.KindDeadlineExceeded:
		return 8
	}
	return 9 // internal
}

// WireError is the error object of a reply.
type WireError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// ToWire encodes an error; data carries it whole.
func ToWire(code int, e *api.Error) *WireError {
	data, err := json.Marshal(e)
	if err != nil { // an api.Error is plain strings
		data = nil
	}
	return &WireError{Code: code, Message: e.Message, Data: data}
}

// API decodes the error; one that carries no api.Error gets a kind from its
// code.
func (w *WireError) API() *api.Error {
	var e api.Error
	if len(w.Data) > 0 && json.Unmarshal(w.Data, &e) == nil && e.Kind != "" {
		return &e
	}
	kind := api.KindInternal
	switch w.Code {
	case CodeParse, CodeInvalidRequest, CodeMethodNotFound, CodeInvalidParams:
		kind = api.KindInvalid
	}
	return api.NewError(kind, w.Message, "")
}

// AsAPI finds the api.Error in err's chain, or makes one of the fault in it, or of the kind that a
// context's error has, or an internal one.
func AsAPI(err error) *api.Error {
	var e *api.Error
	var f *fault.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &f):
		f = fault.From(err)
		return &api.Error{Kind: api.Kind(f.Kind), Message: f.Message, Hint: f.Hint, Operation: f.Operation}
	case errors.Is(err, context.DeadlineExceeded):
		return api.NewError(api.KindDeadlineExceeded, err.Error(), "")
	case errors.Is(err, context.Canceled):
		return api.NewError(api.KindCanceled, err.Error(), "")
	}
	return api.NewError(api.KindInternal, err.Error(), "")
}
