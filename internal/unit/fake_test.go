package unit_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// peer is one end of D-Bus: systemd on its own socket, or a message bus.
type peer struct {
	t *testing.T
	// answer returns the results of a call, or an error; then what signals
	// follow the reply.
	answer func(c call) (results []any, name string, after []*dbus.Message)

	// deaf is how many first messages of a connection it does not see until
	// more comes, as systemd may.
	deaf int

	mu    sync.Mutex
	calls []call
}

// call is a method call as it arrived.
type call struct {
	method string // without the interface
	body   []any
	files  []*os.File
}

// serve answers on a socket below dir until the test ends.
func (p *peer) serve(path string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		p.t.Fatal(err)
	}
	var open sync.WaitGroup
	p.t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				err := p.talk(c)
				if left := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE); !left {
					p.t.Errorf("the fake: %v", err)
				}
			})
		}
	})
}

// fdReader reads from a connection and keeps the descriptors that come along.
type fdReader struct {
	*net.UnixConn
	fds []int
}

func (r *fdReader) Read(b []byte) (int, error) {
	oob := make([]byte, 256)
	n, oobn, _, _, err := r.ReadMsgUnix(b, oob)
	if oobn > 0 {
		messages, perr := syscall.ParseSocketControlMessage(oob[:oobn])
		for _, m := range messages {
			fds, ferr := syscall.ParseUnixRights(&m)
			r.fds, err = append(r.fds, fds...), errors.Join(err, ferr)
		}
		err = errors.Join(err, perr)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// talk authenticates a client and answers its calls.
func (p *peer) talk(c *net.UnixConn) error {
	in := &fdReader{UnixConn: c}
	lines := bufio.NewReader(in)
	if b, err := lines.ReadByte(); err != nil || b != 0 {
		return err
	}
	for begun := false; !begun; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		reply := "OK 0123456789abcdef0123456789abcdef"
		switch {
		case line == "AUTH\r\n":
			reply = "REJECTED EXTERNAL"
		case strings.HasPrefix(line, "NEGOTIATE_UNIX_FD"):
			reply = "AGREE_UNIX_FD"
		case strings.HasPrefix(line, "BEGIN"):
			begun, reply = true, ""
		}
		if _, err := io.WriteString(c, strings.TrimPrefix(reply+"\r\n", "\r\n")); err != nil {
			return err
		}
	}
	for unseen := p.deaf; unseen > 0; unseen-- {
		if _, err := lines.Peek(lines.Buffered() + 1); err != nil {
			return err
		}
	}
	for {
		if err := p.step(c, in, lines); err != nil {
			return err
		}
	}
}

// step answers one call.
func (p *peer) step(c *net.UnixConn, in *fdReader, from io.Reader) error {
	msg, err := dbus.DecodeMessage(from)
	if err != nil {
		return err
	}
	got := call{method: msg.Headers[dbus.FieldMember].Value().(string), body: msg.Body}
	for _, fd := range in.fds {
		got.files = append(got.files, os.NewFile(uintptr(fd), "received"))
	}
	in.fds = nil
	p.mu.Lock()
	p.calls = append(p.calls, got)
	p.mu.Unlock()
	var results []any
	var failure string
	var after []*dbus.Message
	if got.method != "Ping" {
		results, failure, after = p.answer(got)
	}
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(msg.Serial()),
	}}
	if failure != "" {
		reply.Type, results = dbus.TypeError, []any{"it is said to be so"}
		reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant(failure)
	}
	return send(c, results, append([]*dbus.Message{reply}, after...))
}

// send writes a reply with its results, and what comes after it.
func send(c net.Conn, results []any, messages []*dbus.Message) error {
	messages[0].Body = results
	for i, m := range messages {
		if len(m.Body) > 0 {
			m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
		}
		var b bytes.Buffer
		if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
			return err
		}
		raw := b.Bytes()
		binary.LittleEndian.PutUint32(raw[8:], uint32(i+1)) // the serial, which may not be 0
		if _, err := c.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// signal is one of systemd's.
func signal(name string, body ...any) *dbus.Message {
	return &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/systemd1")),
		dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.systemd1.Manager"),
		dbus.FieldMember:    dbus.MakeVariant(name),
	}}
}

// removed tells of a job's end.
func removed(job, unit, result string) *dbus.Message {
	return signal("JobRemoved", uint32(7), dbus.ObjectPath(job), unit, result)
}

// only returns the calls of a method.
func (p *peer) only(method string) (found []call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c.method == method {
			found = append(found, c)
		}
	}
	return found
}
