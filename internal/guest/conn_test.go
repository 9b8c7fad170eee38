package guest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/dials"
)

// dialRig is an agent that dials, whose channel to the host may be broken, and
// which may be another one's after a restart.
type dialRig struct {
	*guest.Client
	mu       sync.Mutex
	dials    *dials.Server
	channels []io.Closer
}

func newDialRig(t *testing.T) *dialRig {
	r := &dialRig{dials: dials.New(slog.New(slog.DiscardHandler), dials.Config{})}
	r.Client = guest.New(func(context.Context) (io.ReadWriteCloser, error) {
		host, port := socketpair(t)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.channels = append(r.channels, host)
		served := r.dials
		mux := http.NewServeMux()
		mux.Handle("POST "+wire.PathDial, served)
		go serveAgent(port, mux)
		return host, nil
	}, slog.New(slog.DiscardHandler), guest.Config{})
	t.Cleanup(func() {
		r.Close()
		r.dials.Close()
	})
	return r
}

// lose breaks all channels that there were.
func (r *dialRig) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.channels {
		c.Close()
	}
	r.channels = nil
}

// restart is a guest's reboot: nothing of the one before is known.
func (r *dialRig) restart() {
	r.mu.Lock()
	old := r.dials
	r.dials = dials.New(slog.New(slog.DiscardHandler), dials.Config{})
	r.mu.Unlock()
	r.lose()
	old.Close()
}

func (r *dialRig) connect(t *testing.T, do func(*net.TCPConn)) *guest.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			go func() {
				defer c.Close()
				do(c.(*net.TCPConn))
			}()
		}
	}()
	c, err := r.Connect(t.Context(), api.DialSpec{Network: "tcp", Address: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A connection goes on, each byte once, whatever becomes of the channel.
func TestConnOutlivesItsChannel(t *testing.T) {
	r := newDialRig(t)
	c := r.connect(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	data := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{7}).Read(data)
	stop := make(chan struct{})
	var lost sync.WaitGroup
	lost.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				r.lose()
			}
		}
	})
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite() // marks the stream's end, which cannot fail
	}()
	got, err := io.ReadAll(c)
	close(stop)
	lost.Wait()
	if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("%d of %d bytes came back, or others: %v", len(got), len(data), err)
	}
}

// What broke does not look as if it had ended.
func TestConnBreaks(t *testing.T) {
	r := newDialRig(t)
	c := r.connect(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = c.SetLinger(0) // and is closed
	})
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("the guest's end broke: %v", err)
	}
	c = r.connect(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	r.restart()
	if _, err := c.Read(make([]byte, 1)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the guest was restarted: %v", err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("it can be written to after its end")
	}
	if _, err := r.Connect(t.Context(), api.DialSpec{Network: "tcp", Address: "127.0.0.1:1"}); fault.KindOf(err) != fault.Precondition {
		t.Errorf("nothing listens: %v", err)
	}
}

// Each direction ends alone, and a server that reads no more is a broken pipe.
func TestConnEnds(t *testing.T) {
	r := newDialRig(t)
	c := r.connect(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("first"))
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	})
	if got, err := io.ReadAll(c); string(got) != "first" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := c.Write([]byte("on")); err != nil {
		t.Error(err)
	}
	c = r.connect(t, func(c *net.TCPConn) {})
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	var err error
	for end := time.Now().Add(20 * time.Second); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		_, err = c.Write([]byte("x"))
	}
	if !errors.Is(err, syscall.EPIPE) && fault.KindOf(err) != fault.Unavailable {
		t.Errorf("writing where nobody reads: %v", err)
	}
}

// What was written before the end reaches a server that reads late, and ended
// its own direction long before.
func TestConnDelivers(t *testing.T) {
	r := newDialRig(t)
	got := make(chan int64, 1)
	c := r.connect(t, func(c *net.TCPConn) {
		_ = c.CloseWrite()
		time.Sleep(50 * time.Millisecond)
		n, _ := io.Copy(io.Discard, c)
		got <- n
	})
	if all, err := io.ReadAll(c); len(all) > 0 || err != nil {
		t.Fatal(all, err)
	}
	const size = 9_000_000
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.CloseWrite(), c.Wait(), c.Close()); err != nil {
		t.Error(err)
	}
	if n := <-got; n != size {
		t.Errorf("%d bytes came", n)
	}
}

// One that nobody reads from keeps up no other.
func TestConnStalls(t *testing.T) {
	r := newDialRig(t)
	for range 50 {
		r.connect(t, func(c *net.TCPConn) { _, _ = c.Write(make([]byte, 8<<20)) })
	}
	c := r.connect(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	data := make([]byte, 4<<20)
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || len(got) != len(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Close tells the guest, and leaves nothing here.
func TestConnClose(t *testing.T) {
	r := newDialRig(t)
	before := runtime.NumGoroutine()
	ended := make(chan struct{})
	c := r.connect(t, func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	})
	c.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the guest's end is open")
	}
	for end := time.Now().Add(20 * time.Second); r.dials.Open() > 0 || runtime.NumGoroutine() > before+10; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections, %d goroutines are left of %d", r.dials.Open(), runtime.NumGoroutine(), before)
		}
	}
}
