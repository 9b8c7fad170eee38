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
//	type    uint8    Data, EOF, Ack, Resize, Signal, Exit, Stop
//	stream  uint8    Control, Stdin, Stdout, Stderr, Result
//	_       uint16   zero
//	length  uint32   of the payload, at most maxPayload
//	offset  uint64   Data, EOF: position in the stream of the first payload byte
//	                 Ack: bytes consumed so far; Signal, Resize: a sequence number
//
// all big endian.
//
//   - Data and EOF belong to Stdin (from the client), Stdout and Stderr (from
//     the agent).
//   - An Ack is also the credit: a sender has at most Window bytes, in at most
//     maxFrames frames, beyond the last Ack under way. So a reader that stalls
//     holds at most MaxBuffered bytes a stream of anybody's memory, and never
//     another stream. A receiver acks at half a Window, or at maxFrames/4
//     frames once it has consumed them all, and at the start of a connection.
//   - Stop goes against the data: its sender reads no more of the stream. The
//     peer drops what it holds and sends an EOF; its writer gets ErrStopped.
//   - Resize (rows and columns, 16 bits each) and Signal (one byte) are on
//     Control, from the client. Their sequence numbers grow, so that a replay
//     does nothing twice; an Ack on Control confirms them.
//   - Exit is on Result, from the agent, after all output; its payload is an
//     api.ExecExit in JSON. An Ack on Result with offset 1 ends the exec.
//
// Both ends are hostile to each other: a frame that breaks a bound or a rule
// ends the connection with ErrProtocol.
package stream

import "errors"

const (
	// Version is that of the frames, which the reply before them tells. An end
	// speaks the earlier ones too.
	Version = 1
	// Window is the number of unacknowledged bytes a stream may have.
	Window = 128 << 10
	// maxPayload is the largest payload of a frame in bytes.
	maxPayload = 32 << 10
	// headerSize is the size of a frame's header in bytes.
	headerSize = 16
	// maxFrames is the number of unacknowledged frames a stream may have.
	maxFrames = 512
	// MaxBuffered is what a stream may have under way, headers included.
	MaxBuffered = Window + maxFrames*headerSize

	maxExit    = 4 << 10
	maxControl = 64 // signals and resizes that are not acknowledged yet
)

// The errors of an end.
var (
	// ErrProtocol: the peer broke a rule or a bound.
	ErrProtocol = errors.New("the other end of the stream broke its protocol")
	// ErrStopped: nobody reads this stream any more.
	ErrStopped = errors.New("nobody reads this stream any more")
	// ErrClosed: the end was closed.
	ErrClosed = errors.New("the stream is closed")
)
