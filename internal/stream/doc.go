// Package stream is the resumable, multiplexed byte stream between a client
// and a command in a guest: stdin one way, stdout and stderr the other, with
// resize, signal and exit beside them.
//
// Client and agent are its two ends; the monitor between them passes the bytes
// through unread. A connection may break at any byte: both ends keep what the
// other has not acknowledged (at most Window bytes a stream, then the writer
// blocks) and a new connection goes on at the offsets exchanged in its
// exec.attach call, so nothing is lost and nothing comes twice.
//
// A frame is a header of 16 bytes and a payload:
//
//	type    uint8    Data, EOF, Ack, Resize, Signal, Exit
//	stream  uint8    Stdin, Stdout, Stderr; 0 where it says nothing
//	_       uint16   zero
//	length  uint32   of the payload, at most MaxPayload
//	offset  uint64   Data, EOF: position in the stream of the first payload byte
//	                 Ack: bytes consumed so far; Signal, Resize: a sequence number
//
// all big endian. An Ack is also the credit: a sender may have at most Window
// bytes beyond the last Ack under way, so a reader that stalls holds at most
// that much of anybody's memory, and never another stream.
//
// Both ends are hostile to each other: a frame that breaks a bound or a rule
// ends the connection with ErrProtocol.
package stream

const (
	// Window is the number of unacknowledged bytes a stream may have.
	Window = 64 << 10
	// MaxPayload is the largest payload of a frame in bytes.
	MaxPayload = 32 << 10
	// HeaderSize is the size of a frame's header in bytes.
	HeaderSize = 16
)
