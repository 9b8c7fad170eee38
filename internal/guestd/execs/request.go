package execs

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/session"
)

const maxArgs = 32 << 10 // arguments, and variables

// decode reads a request and checks what can be checked without looking
// around.
func decode(line []byte) (req api.ExecAttachRequest, fail *wire.ExecFail) {
	if err := json.Unmarshal(line, &req); err != nil {
		return req, invalid("", "the request is no exec request: %v", err)
	}
	if !session.ValidID(req.ID) {
		return req, invalid("", "an exec's ID has %d to %d characters of a-z, 0-9 and -", session.MinID, session.MaxID)
	}
	s := req.Start
	if s == nil {
		return req, nil
	}
	if len(s.Argv) > maxArgs || len(s.Env) > maxArgs {
		return req, invalid("", "more than %d arguments or variables", maxArgs)
	}
	if len(s.Argv) > 0 && s.Argv[0] == "" {
		return req, invalid("Name a command, or none for a login shell.", "the command's name is empty")
	}
	for _, kv := range s.Env {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return req, invalid("Write it as NAME=VALUE.", "%.40q is no environment variable", kv)
		}
	}
	for _, text := range append(append([]string{s.Cwd, s.User}, s.Argv...), s.Env...) {
		if strings.IndexByte(text, 0) >= 0 {
			return req, invalid("", "a zero byte cannot be passed to a command")
		}
	}
	return req, nil
}

func invalid(hint, format string, args ...any) *wire.ExecFail {
	return &wire.ExecFail{Kind: string(api.KindInvalid), Message: fmt.Sprintf(format, args...), Hint: hint}
}
