// Package qmp speaks QEMU's machine protocol: a greeting, commands whose
// replies carry their id, and events in between. QEMU runs a hostile guest, so
// nothing that it sends may make us panic, hang or grow.
package qmp

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxLine bounds a message from QEMU.
const MaxLine = 1 << 20

// ErrProtocol says that the other end does not speak QMP as it should; the
// connection is closed then.
var ErrProtocol = errors.New("QEMU's control socket does not speak QMP")

// ErrClosed says that the connection has ended.
var ErrClosed = errors.New("QEMU's control connection has ended")

// Error is QEMU's refusal of a command.
type Error struct {
	Command string `json:"-"`
	Class   string `json:"class"`
	Desc    string `json:"desc"`
}

func (e *Error) Error() string {
	return fmt.Sprintf("QEMU refused %s: %s", e.Command, e.Desc)
}

// Event is something that happened in QEMU.
type Event struct {
	Name string
	Data json.RawMessage // may be nil
	At   time.Time
}

// Version is QEMU's own.
type Version struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
	Micro int `json:"micro"`
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro) }

type command struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

// message is any line from QEMU; exactly one of its kinds is set.
type message struct {
	QMP *struct {
		Version struct {
			QEMU Version `json:"qemu"`
		} `json:"version"`
	} `json:"QMP"`
	Return    json.RawMessage `json:"return"`
	Error     *Error          `json:"error"`
	ID        *uint64         `json:"id"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Timestamp struct {
		Seconds int64 `json:"seconds"`
		Micros  int64 `json:"microseconds"`
	} `json:"timestamp"`
}

// parse reads one line and checks that it is one thing.
func parse(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	kinds := 0
	for _, is := range []bool{m.QMP != nil, m.Return != nil || m.Error != nil, m.Event != ""} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return m, fmt.Errorf("%w: a message is neither greeting, reply nor event", ErrProtocol)
	}
	if (m.Return != nil || m.Error != nil) && m.ID == nil {
		return m, fmt.Errorf("%w: a reply belongs to no command", ErrProtocol)
	}
	return m, nil
}

func (m message) event() Event {
	return Event{Name: m.Event, Data: m.Data, At: time.Unix(m.Timestamp.Seconds, m.Timestamp.Micros*1000)}
}
