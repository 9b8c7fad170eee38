// Package call is what the test host's agent and its caller share: over a
// virtio-serial port first the resynchronisation of internal/guest/wire, then
// HTTP/2 in clear text with the two calls below.
package call

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// PortName is the name of the virtio-serial port.
const PortName = "banger.test-host"

// The agent's calls.
const (
	PathArrive = "/arrive" // POST Arrival → {}
	PathRun    = "/run"    // POST: a line Run, then its standard input → frames, the last one Exit
)

// Payload is where the payload disk is mounted in the host.
const Payload = "/payload"

// Arrival is the first call after a boot or a restore.
type Arrival struct {
	Time    time.Time `json:"time"`
	Seed    []byte    `json:"seed"`
	Payload bool      `json:"payload"` // there is a payload disk to mount
}

// Run is a command.
type Run struct {
	Argv    []string      `json:"argv"`
	Env     []string      `json:"env"`
	User    string        `json:"user"` // "" is root; others run in a login session of their own
	Dir     string        `json:"dir"`  // "" is the user's home
	Timeout time.Duration `json:"timeout"`
	TTY     *Window       `json:"tty"` // its terminal; nil for pipes
}

// Window is the size of a terminal.
type Window struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Exit is how a command ended.
type Exit struct {
	Code  int    `json:"code"`  // 128+N for a signal N
	Error string `json:"error"` // why it did not run, or not to its end
}

// The kinds of frames.
const (
	Stdout = 'o'
	Stderr = 'e'
	Ended  = 'x' // with Exit as JSON
)

// MaxFrame bounds a frame, MaxLine the line of a Run.
const (
	MaxFrame = 64 << 10
	MaxLine  = 1 << 20
)

// Writer writes frames; its methods may be called from many goroutines.
type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	flush func() error
}

// NewWriter returns a Writer that calls flush after each frame.
func NewWriter(w io.Writer, flush func() error) *Writer { return &Writer{w: w, flush: flush} }

func (w *Writer) frame(kind byte, p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(p)))
	if _, err := w.w.Write(append(head, p...)); err != nil {
		return err
	}
	return w.flush()
}

// Exit writes the last frame.
func (w *Writer) Exit(e Exit) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return w.frame(Ended, b)
}

// Stream is an io.Writer of frames of one kind.
func (w *Writer) Stream(kind byte) io.Writer { return stream{w, kind} }

type stream struct {
	w    *Writer
	kind byte
}

func (s stream) Write(p []byte) (int, error) {
	for done := 0; ; {
		n := min(len(p)-done, MaxFrame)
		if n == 0 {
			return done, nil
		}
		if err := s.w.frame(s.kind, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
}

// Read passes frames on to stdout and stderr until the last one.
func Read(r io.Reader, stdout, stderr io.Writer) (Exit, error) {
	var exit Exit
	buf := make([]byte, MaxFrame)
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return exit, fmt.Errorf("the command's output broke off: %w", err)
		}
		n := binary.BigEndian.Uint32(head[1:])
		if n > MaxFrame {
			return exit, fmt.Errorf("a frame of %d bytes is too long", n)
		}
		p := buf[:n]
		if _, err := io.ReadFull(r, p); err != nil {
			return exit, fmt.Errorf("the command's output broke off: %w", err)
		}
		var err error
		switch head[0] {
		case Stdout:
			_, err = stdout.Write(p)
		case Stderr:
			_, err = stderr.Write(p)
		case Ended:
			return exit, json.Unmarshal(p, &exit)
		default:
			err = errors.New("a frame of an unknown kind")
		}
		if err != nil {
			return exit, err
		}
	}
}
