package guest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
)

const (
	maxText  = 1 << 10 // a sentence from a guest
	maxWord  = 256     // a name, an ID, a version
	maxNotes = 16

	maxProblems = 4 // of an AuthReport
)

var errHello = errors.New("the guest's agent told an impossible state")

// checkHello refuses a state that no agent of ours would tell.
func checkHello(h wire.Hello) error {
	switch h.Phase {
	case wire.PhaseIdentity, wire.PhaseReady, wire.PhaseSystem, wire.PhaseStopping, wire.PhaseHalted:
	default:
		return fmt.Errorf("%w: the phase %.40q", errHello, h.Phase)
	}
	if h.Halt != "" && h.Halt != wire.HaltPoweroff && h.Halt != wire.HaltReboot {
		return fmt.Errorf("%w: the halt %.40q", errHello, h.Halt)
	}
	if h.Protocol < 1 || h.Protocol > wire.Protocol {
		return fmt.Errorf("%w: protocol %d, this host knows up to %d", errHello, h.Protocol, wire.Protocol)
	}
	for _, word := range []string{h.Version, h.BootID, h.Kernel, h.User} {
		if !printable(word, maxWord) {
			return fmt.Errorf("%w: the word %.40q", errHello, word)
		}
	}
	if len(h.Notes) > maxNotes {
		return fmt.Errorf("%w: %d notes", errHello, len(h.Notes))
	}
	for _, note := range h.Notes {
		if !printable(note, maxText) {
			return fmt.Errorf("%w: the note %.40q", errHello, note)
		}
	}
	if h.Auth != nil {
		if err := checkAuth(*h.Auth); err != nil {
			return err
		}
	}
	for _, ms := range []float64{h.InitMS, h.AgentMS, h.ReadyMS, h.SystemMS} {
		if ms < 0 || ms > math.MaxInt32*1000.0 {
			return fmt.Errorf("%w: a time of %g ms", errHello, ms)
		}
	}
	return nil
}

// checkAuth refuses a report that no agent of ours would make.
func checkAuth(r wire.AuthReport) error {
	if !printable(r.ID, maxWord) || len(r.Problems) > maxProblems || len(r.Files) > credential.MaxFiles {
		return fmt.Errorf("%w: a report on the user's own of %d and %d sentences", errHello, len(r.Problems), len(r.Files))
	}
	for _, reason := range slices.Concat(r.Problems, r.Files) {
		if !printable(reason, wire.MaxReason) {
			return fmt.Errorf("%w: the reason %.40q", errHello, reason)
		}
	}
	return nil
}

func printable(s string, most int) bool {
	return len(s) <= most && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// refusal makes a fault of what the guest says, which is shown to people.
func refusal(f wire.ExecFail) error {
	kind := fault.Internal
	switch k := fault.Kind(f.Kind); k {
	case fault.NotFound, fault.Exists, fault.Invalid, fault.Precondition, fault.Busy, fault.Unavailable:
		kind = k
	}
	message := clean(f.Message)
	if message == "" {
		message = "the guest's agent refused without a reason"
	}
	return &fault.Error{Kind: kind, Message: message, Hint: clean(f.Hint)}
}

// clean makes a guest's text fit to be shown: bounded and without control
// characters.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), maxText)])
	return s
}
