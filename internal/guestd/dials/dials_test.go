package dials_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/dials"
	"github.com/banger-vm/banger/test/guestrig"
)

func serve(t *testing.T, cfg dials.Config) (*dials.Server, client.ExecDialer) {
	s := dials.New(slog.New(slog.DiscardHandler), cfg)
	t.Cleanup(s.Close)
	return s, guestrig.Dialer(guestrig.Serve(t, s).Dial)
}

// listen serves each connection of a listener by f.
func listen(t *testing.T, network, address string, f func(net.Conn)) api.DialSpec {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}()
	return api.DialSpec{Network: network, Address: l.Addr().String()}
}

// echo sends back what comes, and ends when that does.
func echo(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(c, c)
}

func open(t *testing.T, dial client.ExecDialer, spec api.DialSpec) *client.Conn {
	t.Helper()
	c, err := client.OpenConn(t.Context(), dial, client.NewExecID(), spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange writes text, ends it, and reads all that comes.
func exchange(t *testing.T, c *client.Conn, text []byte) []byte {
	t.Helper()
	go func() {
		if _, err := c.Write(text); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	return got
}

func empty(t *testing.T, s *dials.Server) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); s.Open() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections stay", s.Open())
		}
	}
}

func TestDial(t *testing.T) {
	s, dial := serve(t, dials.Config{})
	data := make([]byte, 5<<20)
	if _, err := io.ReadFull(rand.NewChaCha8([32]byte{1}), data); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []api.DialSpec{
		listen(t, "tcp", "127.0.0.1:0", echo),
		listen(t, "unix", filepath.Join(t.TempDir(), "s"), echo),
	} {
		if got := exchange(t, open(t, dial, spec), data); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes came back, not those %d", spec.Network, len(got), len(data))
		}
	}
	empty(t, s)
}

// Either end may go first, and half.
func TestWhoClosesFirst(t *testing.T) {
	s, dial := serve(t, dials.Config{})
	t.Run("the address", func(t *testing.T) {
		spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			_, _ = io.WriteString(c, "bye")
			c.Close()
		})
		if got := exchange(t, open(t, dial, spec), nil); string(got) != "bye" {
			t.Errorf("%q came", got)
		}
	})
	t.Run("the client, and the address talks on", func(t *testing.T) {
		spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			defer c.Close()
			got, err := io.ReadAll(c)
			if err == nil {
				_, _ = io.WriteString(c, strings.ToUpper(string(got)))
			}
		})
		if got := exchange(t, open(t, dial, spec), []byte("hello")); string(got) != "HELLO" {
			t.Errorf("%q came", got)
		}
	})
	t.Run("the client, altogether", func(t *testing.T) {
		ended := make(chan error, 1)
		spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			defer c.Close()
			_, err := io.Copy(c, neverEnding{})
			ended <- err
		})
		c := open(t, dial, spec)
		if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("the address was not told")
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("the address, while the client writes", func(t *testing.T) {
		spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { c.Close() })
		c := open(t, dial, spec)
		_, err := io.Copy(c, neverEnding{})
		if !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing ends with %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	empty(t, s)
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func TestRefusals(t *testing.T) {
	s, dial := serve(t, dials.Config{})
	free := listen(t, "tcp", "127.0.0.1:0", echo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for name, c := range map[string]struct {
		spec api.DialSpec
		kind api.Kind
		says string
	}{
		"nobody listens":  {api.DialSpec{Network: "tcp", Address: closed}, api.KindFailedPrecondition, "nothing listens on " + closed},
		"no socket":       {api.DialSpec{Network: "unix", Address: "/nonexistent/s"}, api.KindFailedPrecondition, "there is no socket /nonexistent/s"},
		"no port":         {api.DialSpec{Network: "tcp", Address: "127.0.0.1"}, api.KindInvalid, "is no address"},
		"no host":         {api.DialSpec{Network: "tcp", Address: ":80"}, api.KindInvalid, "is no address"},
		"a port's name":   {api.DialSpec{Network: "tcp", Address: "localhost:ssh"}, api.KindInvalid, "is no address"},
		"a relative path": {api.DialSpec{Network: "unix", Address: "s"}, api.KindInvalid, "is no path"},
		"a long path":     {api.DialSpec{Network: "unix", Address: "/" + strings.Repeat("x", 200)}, api.KindInvalid, "is no path"},
		"another network": {api.DialSpec{Network: "udp", Address: "127.0.0.1:53"}, api.KindInvalid, "there is no network"},
	} {
		_, err := client.OpenConn(t.Context(), dial, client.NewExecID(), c.spec, 0)
		if api.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.OpenConn(t.Context(), dial, "short", free, 0); api.KindOf(err) != api.KindInvalid {
		t.Errorf("a short ID: %v", err)
	}
	empty(t, s)
}

// The connections between client and guest break all the time; nothing is
// lost and nothing comes twice.
func TestBrokenConnections(t *testing.T) {
	s, whole := serve(t, dials.Config{})
	spec := listen(t, "tcp", "127.0.0.1:0", echo)
	var mu sync.Mutex
	cuts := rand.New(rand.NewPCG(5, 6))
	dial := func(ctx context.Context) (net.Conn, error) {
		conn, err := whole(ctx)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		return &cut{Conn: conn, left: 20_000 + cuts.IntN(400_000)}, nil
	}
	data := make([]byte, 8<<20)
	if _, err := io.ReadFull(rand.NewChaCha8([32]byte{2}), data); err != nil {
		t.Fatal(err)
	}
	got := exchange(t, open(t, dial, spec), data)
	if sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back, not those %d", len(got), len(data))
	}
	empty(t, s)
}

// cut is a connection that breaks after some bytes.
type cut struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= n; c.left < 0 {
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// What no client has asked for in a long time is dropped.
func TestOrphan(t *testing.T) {
	s, dial := serve(t, dials.Config{OrphanAfter: 50 * time.Millisecond})
	ended := make(chan struct{})
	spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := client.OpenConn(ctx, dial, client.NewExecID(), spec, 0); err != nil {
		t.Fatal(err)
	}
	cancel() // as if the client were killed
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the address was not told")
	}
	empty(t, s)
}

// A client may ask for less patience.
func TestOrphanOfItsOwn(t *testing.T) {
	s := dials.New(slog.New(slog.DiscardHandler), dials.Config{})
	t.Cleanup(s.Close)
	spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	request, err := json.Marshal(api.DialOpenRequest{ID: client.NewExecID(), Start: &spec, OrphanMS: 20})
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := guestrig.Serve(t, s).Dial(t.Context(), request, nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if s.Open() != 1 {
		t.Fatal("it is dropped although it has a client")
	}
	conn.Close()
	empty(t, s)
}

// That a connection broke is told with the end of what came, and not only once
// the client has nothing more to write.
func TestBroken(t *testing.T) {
	s, dial := serve(t, dials.Config{})
	spec := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	c := open(t, dial, spec)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "reset by peer") {
		t.Errorf("it ended with %v", err)
	}
	empty(t, s)
}

func TestTooMany(t *testing.T) {
	s, dial := serve(t, dials.Config{MaxDials: 1})
	spec := listen(t, "tcp", "127.0.0.1:0", echo)
	first := open(t, dial, spec)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.OpenConn(ctx, dial, client.NewExecID(), spec, 0); err == nil { // it tries again: there may be room soon
		t.Error("there is room for a second one")
	}
	if got := exchange(t, first, []byte("on")); string(got) != "on" {
		t.Errorf("%q came", got)
	}
	if got := exchange(t, open(t, dial, spec), []byte("again")); string(got) != "again" {
		t.Errorf("%q came", got)
	}
	empty(t, s)
}

// What does not listen yet is waited for.
func TestWait(t *testing.T) {
	s, dial := serve(t, dials.Config{})
	path := filepath.Join(t.TempDir(), "s")
	time.AfterFunc(100*time.Millisecond, func() { listen(t, "unix", path, echo) })
	c, err := client.OpenConn(t.Context(), dial, client.NewExecID(), api.DialSpec{Network: "unix", Address: path}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, c, []byte("late")); string(got) != "late" {
		t.Errorf("%q came", got)
	}
	empty(t, s)
}
