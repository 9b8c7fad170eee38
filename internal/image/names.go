package image

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"

	"github.com/banger-vm/banger/internal/fault"
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// idForm is how the IDs of images and of other things look.
var idForm = regexp.MustCompile(`^([0-9a-f]{12}|[0-9a-f]{16})$`)

// CheckName refuses what can be no image's name, or would be taken for an ID.
func CheckName(name string) error {
	if idForm.MatchString(name) {
		return fault.New(fault.Invalid, "use a name that is not just 12 or 16 hexadecimal digits",
			"%q cannot be an image's name: it looks like an ID", name)
	}
	if nameForm.MatchString(name) {
		return nil
	}
	if len(name) > 70 {
		name = name[:70] + "…"
	}
	return fault.New(fault.Invalid,
		"use 1 to 63 lower-case letters, digits, dots, hyphens and underscores, for instance debian",
		"%q cannot be an image's name", name)
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
