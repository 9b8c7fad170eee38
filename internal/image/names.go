package image

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/naming"
)

var names = naming.Rule{
	Owner: "an image's",
	Form:  regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`),
	Hint:  "Use 1 to 63 lower-case letters, digits, dots, hyphens and underscores, for instance debian.",
}

const idBytes = 8

func newID() string {
	var b [idBytes]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// checkID guards the paths that are made of an ID out of the journal.
func checkID(id string) error {
	if b, err := hex.DecodeString(id); err != nil || len(b) != idBytes {
		return fault.New(fault.Invalid, "", "%q is no image ID", id)
	}
	return nil
}
