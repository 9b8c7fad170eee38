package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
)

// guest is a "guest" whose ports are listeners of this test.
type guest struct {
	mu    sync.Mutex
	ports map[int]string
	waits int // connections that were waited for
}

// conn is a connection to a guest.
type conn struct {
	*net.TCPConn
	g *guest
}

func (c conn) Wait() error {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.g.waits++
	return nil
}

func (g *guest) dial(ctx context.Context, port int) (Conn, error) {
	g.mu.Lock()
	at := g.ports[port]
	g.mu.Unlock()
	if at == "" {
		return nil, errors.New("nothing listens there")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	return conn{c.(*net.TCPConn), g}, nil
}

// serve listens for the guest's port.
func (g *guest) serve(t *testing.T, port int, do func(*net.TCPConn)) {
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
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ports[port] = l.Addr().String()
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func newSet(t *testing.T, cfg Config) (*Set, *guest) {
	t.Helper()
	g := &guest{ports: map[int]string{}}
	s := New(g.dial, slog.New(slog.DiscardHandler), cfg)
	t.Cleanup(s.Close)
	return s, g
}

// open makes one forward of any port to port, and returns where it listens.
func open(t *testing.T, s *Set, port int) string {
	t.Helper()
	if err := s.Replace([]forward.Forward{{GuestPort: port}}); err != nil {
		t.Fatal(err)
	}
	return s.Status()[0].Open()
}

func dial(t *testing.T, at string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// refused checks that a connection is reset, perhaps before it is made.
func refused(t *testing.T, why, at string) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v", why, err)
	}
}

// exchange sends all and ends, then reads all: each direction ends alone.
func exchange(t *testing.T, c *net.TCPConn, data []byte) []byte {
	t.Helper()
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return got
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain for: ", what)
		}
	}
}

func TestManyConnections(t *testing.T) {
	s, g := newSet(t, Config{})
	g.serve(t, 80, func(c *net.TCPConn) { // answers only after the end of what was sent
		all, err := io.ReadAll(c)
		if err == nil {
			_, _ = c.Write(all)
		}
	})
	at := open(t, s, 80)
	_, port, _ := net.SplitHostPort(at)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			data := make([]byte, 1<<20)
			rand.NewChaCha8([32]byte{byte(i)}).Read(data)
			to := at
			if i%2 == 1 && len(s.open[0].on) == 2 {
				to = "[::1]:" + port
			}
			if got := exchange(t, dial(t, to), data); sha256.Sum256(got) != sha256.Sum256(data) {
				t.Errorf("%d bytes came back, or others", len(got))
			}
		})
	}
	all.Wait()
	await(t, "no connection to be left", func() bool { return s.Status()[0].Connections == 0 })
	if g.waits != 40 {
		t.Errorf("%d of 40 were waited for before they were dropped", g.waits)
	}
}

// One that reads nothing keeps up nobody else.
func TestStalled(t *testing.T) {
	s, g := newSet(t, Config{})
	g.serve(t, 80, func(c *net.TCPConn) { _, _ = io.Copy(c, bytes.NewReader(make([]byte, 64<<20))) })
	g.serve(t, 81, echo)
	if err := s.Replace([]forward.Forward{{GuestPort: 80}, {GuestPort: 81}}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		dial(t, s.Status()[0].Open())
	}
	if got := exchange(t, dial(t, s.Status()[1].Open()), []byte("on")); string(got) != "on" {
		t.Errorf("%q", got)
	}
}

// What breaks on one side is a reset on the other, never an end.
func TestBreaks(t *testing.T) {
	s, g := newSet(t, Config{})
	ended := make(chan struct{})
	g.serve(t, 80, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = c.SetLinger(0) // and is closed
	})
	g.serve(t, 81, func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		close(ended)
	})
	if err := s.Replace([]forward.Forward{{GuestPort: 80}, {GuestPort: 81}, {GuestPort: 82}}); err != nil {
		t.Fatal(err)
	}
	all := s.Status()
	c := dial(t, all[0].Open())
	_, _ = c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the guest's end broke: %v", err)
	}
	c = dial(t, all[1].Open())
	_, _ = c.Write([]byte("x"))
	await(t, "the connection", func() bool { return s.Status()[1].Connections == 1 })
	_ = c.SetLinger(0)
	c.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the guest is not told that the host's end broke")
	}
	refused(t, "nothing listens in the guest", all[2].Open())
}

// More connections than may be are refused at once, and there is room again later.
func TestLimit(t *testing.T) {
	s, g := newSet(t, Config{MaxConns: 2})
	g.serve(t, 80, echo)
	at := open(t, s, 80)
	first, second := dial(t, at), dial(t, at)
	await(t, "two connections", func() bool { return s.Status()[0].Connections == 2 })
	refused(t, "a third", at)
	exchange(t, first, []byte("x"))
	await(t, "room", func() bool { return s.Status()[0].Connections == 1 })
	if got := exchange(t, dial(t, at), []byte("again")); string(got) != "again" {
		t.Errorf("%q", got)
	}
	exchange(t, second, nil)
}

func TestReplace(t *testing.T) {
	var told [][]forward.Status
	s, g := newSet(t, Config{Changed: func(all []forward.Status) { told = append(told, all) }})
	g.serve(t, 80, echo)
	at := open(t, s, 80)
	_, text, _ := net.SplitHostPort(at)
	taken, _ := strconv.Atoi(text)
	c := dial(t, at)
	// One that cannot be opened changes nothing.
	err := s.Replace([]forward.Forward{{GuestPort: 81}, {HostPort: taken, GuestPort: 80}})
	if fault.KindOf(err) != fault.Busy || len(s.Status()) != 1 || len(told) != 1 {
		t.Errorf("%v, %+v, told %d times", err, s.Status(), len(told))
	}
	if err := s.Replace([]forward.Forward{{GuestPort: 80}, {GuestPort: 81}}); err != nil || s.Status()[0].Open() != at {
		t.Errorf("%v, %+v", err, s.Status())
	}
	// One that goes listens no more, and its connection stays.
	if err := s.Replace([]forward.Forward{{GuestPort: 81}}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it listens on: %v", err)
	}
	if got := exchange(t, c, []byte("still")); string(got) != "still" {
		t.Errorf("%q", got)
	}
	if len(told) != 3 || len(told[2]) != 1 || told[2][0].GuestPort != 81 {
		t.Errorf("told %+v", told)
	}
	s.Close()
	if _, err := net.Dial("tcp", told[2][0].Open()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it listens after its end: %v", err)
	}
	if err := s.Replace(nil); fault.KindOf(err) != fault.Precondition {
		t.Errorf("after its end: %v", err)
	}
}

// The next Set has the ports of the last one, those that are in use as soon as
// they are not.
func TestRestore(t *testing.T) {
	first, _ := newSet(t, Config{})
	if err := first.Replace([]forward.Forward{{GuestPort: 80}, {GuestPort: 81}}); err != nil {
		t.Fatal(err)
	}
	was := first.Status()
	first.Close()
	taken, err := net.Listen("tcp", was[1].Open())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	was[1].HostPort = was[1].Port // it was asked for
	was = append(was, forward.Status{Forward: forward.Forward{GuestPort: 3000}, Port: was[1].Port, Auto: true})
	second, g := newSet(t, Config{Retry: 5 * time.Millisecond})
	g.serve(t, 81, echo)
	second.Restore(was)
	got := second.Status()
	if len(got) != 2 || got[0].Port != was[0].Port || got[1].Port != 0 || !strings.Contains(got[1].Error, "is in use") {
		t.Fatalf("%+v", got)
	}
	taken.Close()
	await(t, "the port", func() bool { return second.Status()[1].Port == was[1].Port && second.Status()[1].Error == "" })
	if got := exchange(t, dial(t, was[1].Open()), []byte("x")); string(got) != "x" {
		t.Errorf("%q", got)
	}
}

func TestAuto(t *testing.T) {
	s, g := newSet(t, Config{MaxAuto: 3})
	taken, free, asked := freePort(t, true), freePort(t, false), freePort(t, false)
	more := []int{free, freePort(t, false), freePort(t, false), freePort(t, false)}
	g.serve(t, free, echo)
	ports := func() (all []string) {
		for _, st := range s.Status() {
			same := "another"
			if st.Port == st.GuestPort {
				same = "same"
			}
			all = append(all, fmt.Sprintf("%d %s %v", st.GuestPort, same, st.Auto))
		}
		return all
	}
	if err := s.Replace([]forward.Forward{{GuestPort: asked}}); err != nil {
		t.Fatal(err)
	}
	s.Auto([]int{22, 1023, asked, taken, free})
	want := []string{fmt.Sprintf("%d another false", asked), fmt.Sprintf("%d another true", taken), fmt.Sprintf("%d same true", free)}
	if got := ports(); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for _, st := range s.Status() {
		if st.Port < 1024 || st.Address != "" {
			t.Errorf("%+v", st)
		}
	}
	if got := exchange(t, dial(t, "127.0.0.1:"+strconv.Itoa(free)), []byte("x")); string(got) != "x" {
		t.Errorf("%q", got)
	}
	// One that is asked for has the right of way.
	if err := s.Replace([]forward.Forward{{HostPort: free, GuestPort: 81}}); err != nil {
		t.Fatal(err)
	}
	want = []string{"81 another false", fmt.Sprintf("%d another true", taken), fmt.Sprintf("%d same true", asked), fmt.Sprintf("%d another true", free)}
	if got := ports(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s.Auto(more)
	if got := ports(); len(got) != 1+3 {
		t.Errorf("too many: %q", got)
	}
	s.Auto(nil)
	if got := ports(); !slices.Equal(got, []string{"81 another false"}) {
		t.Errorf("%q", got)
	}
}

// freePort is a port that is free, or taken until the test ends.
func freePort(t *testing.T, taken bool) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if taken {
		t.Cleanup(func() { l.Close() })
	} else {
		l.Close()
	}
	return l.Addr().(*net.TCPAddr).Port
}
