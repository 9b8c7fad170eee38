package spec

import (
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
)

// Restart says when a VM that has ended by itself is started again: "" never,
// "on-failure" when it failed, "on-failure:N" at most N times in a row, "always"
// also when its guest powered itself off. What a user has stopped stays so.
type Restart string

// The policies; RestartNo is written as "no" by people.
const (
	RestartNo        Restart = ""
	RestartOnFailure Restart = "on-failure"
	RestartAlways    Restart = "always"
)

// maxRestarts bounds N.
const maxRestarts = 1_000_000

// ParseRestart reads what people write; Docker's unless-stopped is always here.
// The error is a fault.Invalid.
func ParseRestart(text string) (Restart, error) {
	switch text {
	case "", "no":
		return RestartNo, nil
	case string(RestartOnFailure):
		return RestartOnFailure, nil
	case string(RestartAlways), "unless-stopped":
		return RestartAlways, nil
	}
	if most, ok := strings.CutPrefix(text, string(RestartOnFailure)+":"); ok {
		if n, err := strconv.ParseUint(most, 10, 32); err == nil && n > 0 && n <= maxRestarts {
			return Restart(string(RestartOnFailure) + ":" + strconv.FormatUint(n, 10)), nil
		}
	}
	return "", fault.New(fault.Invalid, "Use no, on-failure, on-failure:5 or always.", "there is no restart policy %q", text)
}

// Most is how often in a row it starts a VM; 0 is without end.
func (r Restart) Most() int {
	_, most, _ := strings.Cut(string(r), ":")
	n, err := strconv.Atoi(most)
	if err != nil { // there is none
		return 0
	}
	return n
}

// After reports whether a VM is started again that failed, or else powered itself off.
func (r Restart) After(failed bool) bool {
	return r == RestartAlways || failed && r != RestartNo
}

// String is the policy as people write it.
func (r Restart) String() string {
	if r == RestartNo {
		return "no"
	}
	return string(r)
}
