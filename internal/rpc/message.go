package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/banger-vm/banger/api"
)

// Request is a call as it stands on a line.
type Request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params,omitempty"`
}

// Reply answers one. A reply without an ID speaks for the whole connection.
type Reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *WireError      `json:"error,omitempty"`
}

// Decode decodes parameters strictly: a field that is not known here is
// refused by name, because its sender counts on it.
func Decode(params json.RawMessage, into any) error {
	if len(params) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(params))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		return nil
	}
	var typeErr *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typeErr) && typeErr.Field != "":
		return invalid(fmt.Sprintf("the parameter %q cannot be a JSON %s", typeErr.Field, typeErr.Value), "")
	case errors.As(err, &typeErr):
		return invalid("the parameters must be a JSON object, not a "+typeErr.Value, "")
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid("the parameter "+field+" is not known", OtherVersion)
	}
	return invalid("the parameters cannot be decoded: "+strings.TrimPrefix(err.Error(), "json: "), "")
}

// OtherVersion is the hint where an end does not know what the other one says.
const OtherVersion = "Client and daemon may be of different versions: banger version shows both. banger daemon stop makes the next command start this version's; VMs go on."

func invalid(message, hint string) *api.Error { return api.NewError(api.KindInvalid, message, hint) }
