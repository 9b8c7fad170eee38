package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

func FuzzReader(f *testing.F) {
	f.Add(AppendFrame(nil, Frame{Type: Data, Stream: Stdin, Offset: 7, Payload: []byte("hello")}))
	f.Add(AppendFrame(nil, Frame{Type: Ack, Stream: Result, Offset: 1}))
	f.Add(AppendFrame(nil, Frame{Type: Resize, Payload: []byte{0, 24, 0, 80}}))
	f.Add([]byte{1, 1, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var again []byte
		r := NewReader(bytes.NewReader(data))
		for {
			fr, err := r.Next()
			if err != nil {
				break
			}
			if len(fr.Payload) > maxPayload {
				t.Fatalf("a payload of %d bytes", len(fr.Payload))
			}
			again = AppendFrame(again, fr)
		}
		if !bytes.HasPrefix(data, again) {
			t.Fatal("what was read is not what was written")
		}
	})
}

// FuzzEnd throws bytes at both ends: they may refuse them, not fail.
func FuzzEnd(f *testing.F) {
	f.Add(AppendFrame(nil, Frame{Type: Data, Stream: Stdin, Payload: []byte("hello")}))
	f.Add(AppendFrame(AppendFrame(nil, Frame{Type: Stop, Stream: Stdout}), Frame{Type: Signal, Offset: 1, Payload: []byte{9}}))
	f.Add(AppendFrame(nil, Frame{Type: Exit, Stream: Result, Payload: []byte("{}")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		agent := NewAgent(Hooks{Signal: func(int) {}, Resize: func(_, _ uint16) {}})
		client := NewClient()
		agent.Sender(Stdout).Write([]byte("some"))
		client.Sender(Stdin).Write([]byte("some"))
		for _, e := range []*End{agent, client} {
			_ = e.Prepare(nil)
			if err := e.read(bytes.NewReader(data)); err == nil && !e.Finished() {
				t.Fatal("an end without a reason")
			}
			for _, r := range e.in {
				if r != nil && r.ring.len() > Window {
					t.Fatalf("%d bytes buffered", r.ring.len())
				}
			}
		}
	})
}

func TestBrokenRules(t *testing.T) {
	data := func(off uint64, n int) Frame {
		return Frame{Type: Data, Stream: Stdin, Offset: off, Payload: make([]byte, n)}
	}
	var flood []Frame
	for off := uint64(0); off <= Window; off += maxPayload {
		flood = append(flood, data(off, maxPayload))
	}
	for name, frames := range map[string][]Frame{
		"a gap":                 {data(1, 1)},
		"more than a window":    flood,
		"data after the end":    {{Type: EOF, Stream: Stdin}, data(0, 1)},
		"two ends":              {data(0, 2), {Type: EOF, Stream: Stdin, Offset: 1}},
		"output from outside":   {{Type: Data, Stream: Stdout, Payload: []byte("x")}},
		"an early exit ack":     {{Type: Ack, Stream: Result, Offset: 1}},
		"an ack of nothing":     {{Type: Ack, Stream: Stdout, Offset: 1}},
		"an exit from a client": {{Type: Exit, Stream: Result}},
		"a long signal":         {{Type: Signal, Offset: 1, Payload: []byte{1, 2}}},
		"an unknown type":       {{Type: 99}},
		"an unknown stream":     {{Type: Ack, Stream: 9}},
		"no data":               {{Type: Data, Stream: Stdin}},
		"an offset overflow":    {data(^uint64(0), 5)},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			defer b.Close()
			go io.Copy(io.Discard, b)
			go func() {
				for _, f := range frames {
					b.Write(AppendFrame(nil, f))
				}
			}()
			agent := NewAgent(Hooks{Signal: func(int) {}})
			if err := agent.Serve(a); !errors.Is(err, ErrProtocol) {
				t.Errorf("it ended in %v", err)
			}
		})
	}
}

func BenchmarkThroughput(b *testing.B) {
	agent, client := NewAgent(Hooks{}), NewClient()
	x, y := socketpair(b)
	go client.Serve(x)
	go agent.Serve(y)
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	go func() {
		for range b.N {
			agent.Sender(Stdout).Write(p)
		}
		agent.Sender(Stdout).Close()
	}()
	client.Receiver(Stdout).WriteTo(io.Discard)
	agent.Close(nil)
	client.Close(nil)
}

func socketpair(b *testing.B) (net.Conn, net.Conn) {
	l, err := net.Listen("unix", b.TempDir()+"/s")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	x, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return x, y
}
