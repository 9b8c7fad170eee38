package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A port has no connection boundaries: what one host process left half sent is
// followed at once by the bytes of the next. So every connection begins with a
// frame that nothing else on the channel looks like:
//
//	magic  8 bytes
//	kind   1 byte, sync (from the host) or answer (from the guest)
//	nonce  16 bytes, the host's choice
//	crc32  4 bytes, big endian, of kind and nonce
//
// The host repeats Sync with its nonce until it reads the Answer with that
// nonce, and drops all else. The guest answers every Sync, and takes the first
// other byte for the beginning of HTTP/2. A Sync in the middle of a connection
// is a new host: the old connection ends. For that to be safe whatever a user
// sends, the host's payload never holds the magic: after its first seven
// bytes, should they occur, the host puts a byte stuffing that the guest takes
// out again. The other way nothing needs that: the guest cannot know a nonce
// before it is asked.
const (
	magic     = prefix + "\x03"
	prefix    = "\xf7bNgR\x1a\xe9" // different bytes; payload may hold it
	stuffing  = 0x00
	nonceSize = 16
	frameSize = len(magic) + 1 + nonceSize + 4

	kindSync   = 'S'
	kindAnswer = 'A'
)

// SyncInterval is the time between two Syncs of a host that has no answer yet.
const SyncInterval = 50 * time.Millisecond

// errCorrupt is bytes after the magic that are no frame.
var errCorrupt = errors.New("the agent channel carries garbage")

// Nonce names a connection.
type Nonce [nonceSize]byte

// Sync is the frame that a host begins a connection with.
func Sync(n Nonce) []byte { return frame(kindSync, n) }

// Answer is the guest's reply to it.
func Answer(n Nonce) []byte { return frame(kindAnswer, n) }

func frame(kind byte, n Nonce) []byte {
	b := make([]byte, 0, frameSize)
	b = append(b, magic...)
	b = append(b, kind)
	b = append(b, n[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[len(magic):]))
}

// parseTail reads what follows the magic in a frame of the given kind.
func parseTail(kind byte, tail []byte) (Nonce, bool) {
	sum := binary.BigEndian.Uint32(tail[1+nonceSize:])
	if tail[0] != kind || crc32.ChecksumIEEE(tail[:1+nonceSize]) != sum {
		return Nonce{}, false
	}
	return Nonce(tail[1 : 1+nonceSize]), true
}

// matcher finds the prefix in a stream that comes in pieces.
type matcher struct{ matched int } // bytes of prefix that the stream ends with

// skip reads up to the end of the next prefix.
func (m *matcher) skip(in *bufio.Reader) error {
	for {
		if _, err := in.Peek(1); err != nil {
			return err
		}
		p, _ := in.Peek(in.Buffered())
		n, found := m.next(p)
		if _, err := in.Discard(n); err != nil {
			return err
		}
		if found {
			return nil
		}
	}
}

// next returns how many bytes of p lead up to and including the end of the
// next prefix, and whether there is one; without one it is all of p. All bytes
// of the prefix are different, so a mismatch can only begin a new one.
func (m *matcher) next(p []byte) (int, bool) {
	for i := 0; i < len(p); {
		if m.matched == 0 {
			j := bytes.IndexByte(p[i:], prefix[0])
			if j < 0 {
				return len(p), false
			}
			i += j + 1
			m.matched = 1
			continue
		}
		switch p[i] {
		case prefix[m.matched]:
			m.matched++
		case prefix[0]:
			m.matched = 1
		default:
			m.matched = 0
		}
		i++
		if m.matched == len(prefix) {
			m.matched = 0
			return i, true
		}
	}
	return len(p), false
}
