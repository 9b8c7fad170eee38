package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/banger-vm/banger/internal/network"
	"github.com/banger-vm/banger/internal/network/user/policy"
)

func bufferOf(b []byte) buffer.Buffer { return buffer.MakeWithData(b) }

// listen makes a service on this host's loopback.
func listen(t testing.TB, network string, serve func(*net.TCPConn)) net.Addr {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "tcp6" {
		address = "[::1]:0"
	}
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
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr()
}

// echo sends back all that comes, and the end after it.
func echoBack(c *net.TCPConn) {
	_, _ = io.Copy(c, c)
	_ = c.CloseWrite()
}

func TestTCP(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1", "::1")}, "")
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			at := viaGateway(listen(t, network, echoBack))
			data := make([]byte, 5<<20)
			rand.NewChaCha8([32]byte{1}).Read(data)
			c := r.mustDial(t, at)
			go func() {
				_, _ = c.Write(data)
				_ = c.CloseWrite()
			}()
			back, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%d of %d bytes came back, or others: %v", len(back), len(data), err)
			}
		})
	}
}

// A guest whose card takes large frames is sent such, and may send them.
func TestLargeFrames(t *testing.T) {
	c := newCable()
	c.mtu = network.MaxMTU
	r := newRigOn(t, c, policy.Policy{Allow: allowed(t, "127.0.0.1", "::1")}, "")
	for _, family := range []string{"tcp4", "tcp6"} {
		t.Run(family, func(t *testing.T) {
			conn := r.mustDial(t, viaGateway(listen(t, family, echoBack)))
			data := make([]byte, 5<<20)
			rand.NewChaCha8([32]byte{2}).Read(data)
			go func() {
				_, _ = conn.Write(data)
				_ = conn.CloseWrite()
			}()
			largest := make(chan int, 1)
			go func() {
				most := 0
				for most < network.MaxMTU/2 {
					select {
					case b := <-r.frame:
						most = max(most, len(b))
					case <-t.Context().Done():
						return
					}
				}
				largest <- most
			}()
			back, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%d of %d bytes came back, or others: %v", len(back), len(data), err)
			}
			select {
			case n := <-largest:
				if n > network.MaxMTU+14 {
					t.Errorf("a frame of %d bytes", n)
				}
			case <-time.After(5 * time.Second):
				t.Error("no large frame came")
			}
		})
	}
}

// Each direction ends by itself.
func TestHalfClose(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1")}, "")
	t.Run("the guest's first", func(t *testing.T) {
		at := viaGateway(listen(t, "tcp4", func(c *net.TCPConn) {
			all, _ := io.ReadAll(c)
			fmt.Fprintf(c, "%d bytes", len(all))
		}))
		c := r.mustDial(t, at)
		_, _ = c.Write([]byte("question"))
		_ = c.CloseWrite()
		if all, err := io.ReadAll(c); err != nil || string(all) != "8 bytes" {
			t.Errorf("%q, %v", all, err)
		}
	})
	t.Run("the far end's first", func(t *testing.T) {
		got := make(chan string, 1)
		at := viaGateway(listen(t, "tcp4", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "hello")
			_ = c.CloseWrite()
			all, _ := io.ReadAll(c)
			got <- string(all)
		}))
		c := r.mustDial(t, at)
		if all, err := io.ReadAll(c); err != nil || string(all) != "hello" {
			t.Errorf("%q, %v", all, err)
		}
		_, _ = c.Write([]byte("later"))
		_ = c.CloseWrite()
		if all := <-got; all != "later" {
			t.Errorf("the far end got %q", all)
		}
	})
}

// A connection that is broken off is so at both ends, and nobody who does not
// listen is connected to.
func TestReset(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1")}, "")
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		begin := time.Now()
		if _, err := r.dial(t, viaGateway(l.Addr())); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v", err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("by the far end", func(t *testing.T) {
		at := viaGateway(listen(t, "tcp4", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, 1))
			_ = c.SetLinger(0)
		}))
		c := r.mustDial(t, at)
		_, _ = c.Write([]byte("x"))
		if _, err := io.ReadAll(c); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Errorf("%v", err)
		}
	})
	t.Run("by the guest", func(t *testing.T) {
		got, begun := make(chan error, 1), make(chan struct{})
		at := viaGateway(listen(t, "tcp4", func(c *net.TCPConn) {
			close(begun)
			_, err := io.ReadAll(c)
			got <- err
		}))
		ep := r.endpoint(t, at)
		<-begun
		ep.Abort()
		if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the far end saw %v", err)
		}
	})
}

// One far end that reads nothing, and a guest that reads nothing, keep nobody
// else waiting; and what waits is bounded.
func TestSlowPeers(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1")}, "")
	stop := make(chan struct{})
	defer close(stop)
	sleepy := viaGateway(listen(t, "tcp4", func(*net.TCPConn) { <-stop }))
	flood := viaGateway(listen(t, "tcp4", func(c *net.TCPConn) {
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	for range 4 {
		c := r.mustDial(t, sleepy)
		go func() { _, _ = c.Write(make([]byte, 64<<20)) }()
		r.mustDial(t, flood) // and is not read
	}
	at := viaGateway(listen(t, "tcp4", echoBack))
	begin := time.Now()
	for range 20 {
		c := r.mustDial(t, at)
		_, _ = c.Write([]byte("ping"))
		_ = c.CloseWrite()
		if all, err := io.ReadAll(c); err != nil || string(all) != "ping" {
			t.Fatalf("%q, %v", all, err)
		}
	}
	if took := time.Since(begin); took > 20*time.Second { // what fills their buffers meanwhile counts too
		t.Errorf("20 exchanges beside stalled ones took %s", took)
	}
}

// Beyond its connections a guest is refused, and told so; when some have ended
// it is not.
func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, policy.Policy{Allow: allowed(t, "127.0.0.1")}, "")
	r.connections = newLimit(8)
	at := viaGateway(listen(t, "tcp4", echoBack))
	held := make([]io.Closer, 8)
	for i := range held {
		held[i] = r.mustDial(t, at)
	}
	if _, err := r.dial(t, at); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("one more: %v", err)
	}
	if report, _ := r.Report(); len(report.Refused) != 1 || report.Refused[0].Why != string(tooMany) {
		t.Errorf("%+v", report)
	}
	var closing sync.WaitGroup
	for _, c := range held {
		closing.Go(func() { c.Close() })
	}
	closing.Wait()
	for wait := time.Now(); len(r.connections) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(wait) > 10*time.Second {
			t.Fatal("the connections do not end")
		}
	}
	r.mustDial(t, at)
}
