package credential

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// CheckKey refuses what is no line of a public SSH key: a kind, the key in
// base64 that says the same kind, and perhaps a comment. Certificates are none.
func CheckKey(line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	body, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	raw, err := base64.StdEncoding.DecodeString(body)
	known := strings.HasPrefix(kind, "ssh-") || strings.HasPrefix(kind, "ecdsa-sha2-") || strings.HasPrefix(kind, "sk-")
	if len(line) > MaxKey || !readable(line) || !known || strings.Contains(kind, "-cert-v") || err != nil || !says(raw, kind) {
		return fmt.Errorf("%.40q… is no public key", line)
	}
	return nil
}

// says reports whether a key in SSH's encoding begins with its kind.
func says(raw []byte, kind string) bool {
	if len(raw) < 4 {
		return false
	}
	n := int64(binary.BigEndian.Uint32(raw))
	return n == int64(len(kind)) && int64(len(raw)) > 4+n && string(raw[4:4+n]) == kind
}
