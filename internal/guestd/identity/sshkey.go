package identity

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
)

// errNotOpenSSH is a key in another form than OpenSSH's own.
var errNotOpenSSH = errors.New("it is no unencrypted private key of OpenSSH's form")

// publicKey is the line of a .pub file for an OpenSSH private key, which
// carries its public half in the clear (PROTOCOL.key): a magic, the strings
// cipher, kdf and its options, the number of keys, the public key. A whole SSH
// library for that would be a fifth of banger-guest.
func publicKey(private []byte) (string, error) {
	block, _ := pem.Decode(private)
	if block == nil || block.Type != "OPENSSH PRIVATE KEY" {
		return "", errNotOpenSSH
	}
	const magic = "openssh-key-v1\x00"
	rest := block.Bytes
	if len(rest) < len(magic) || string(rest[:len(magic)]) != magic {
		return "", errNotOpenSSH
	}
	rest = rest[len(magic):]
	cipher, rest, ok1 := sshString(rest)
	_, rest, ok2 := sshString(rest)
	_, rest, ok3 := sshString(rest)
	if !ok1 || !ok2 || !ok3 || string(cipher) != "none" || len(rest) < 4 || binary.BigEndian.Uint32(rest) != 1 {
		return "", errNotOpenSSH
	}
	blob, _, ok := sshString(rest[4:])
	kind, _, okKind := sshString(blob)
	if !ok || !okKind || !printable(kind) {
		return "", errNotOpenSSH
	}
	return string(kind) + " " + base64.StdEncoding.EncodeToString(blob) + "\n", nil
}

// sshString cuts a string with its length before it off b.
func sshString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// printable refuses what would break a line of a .pub file.
func printable(kind []byte) bool {
	for _, c := range kind {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(kind) > 0 && len(kind) <= 64
}
