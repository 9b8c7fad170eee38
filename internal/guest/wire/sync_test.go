package wire

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// channel is a raw channel that outlives its hosts: both ends buffer, and the
// guest does not see a host go.
func channel(t interface {
	Fatal(...any)
	Cleanup(func())
},
) (host, guest net.Conn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "channel")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

// unclosed is a channel whose host goes without a sign.
type unclosed struct{ net.Conn }

func (u unclosed) Close() error { return u.SetReadDeadline(time.Unix(1, 0)) }

// reopen lets the next host use the channel.
func reopen(t interface{ Fatal(...any) }, c net.Conn) unclosed {
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return unclosed{c}
}

// echo accepts connections and sends back what comes on them.
func echo(l *Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// junk draws what others may have left on a channel: noise, and pieces of frames.
func junk() *rapid.Generator[[]byte] {
	piece := rapid.Custom(func(t *rapid.T) []byte {
		whole := rapid.SampledFrom([][]byte{
			Sync(Nonce{1, 2, 3}), Answer(Nonce{1, 2, 3}), []byte(magic), []byte(prefix), []byte(prefix + prefix),
			[]byte(magic + "S"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
			{0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 1, 0, 0},
		}).Draw(t, "whole")
		return whole[:rapid.IntRange(1, len(whole)).Draw(t, "cut")]
	})
	noise := rapid.SliceOfN(rapid.Byte(), 0, 200)
	return rapid.Custom(func(t *rapid.T) []byte {
		return bytes.Join(rapid.SliceOfN(rapid.OneOf(piece, noise), 0, 8).Draw(t, "pieces"), nil)
	})
}

// payload draws what HTTP/2 may carry: anything after its own first byte.
func payload() *rapid.Generator[[]byte] {
	return rapid.Map(junk(), func(b []byte) []byte { return append([]byte("P"), b...) })
}

func talk(t interface{ Fatalf(string, ...any) }, c net.Conn, sent []byte, step int) {
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				return // the read below fails then
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(sent))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes of %d came back: %v\nsent %x\ngot  %x", n, len(sent), err, sent, got[:n])
	}
}

func TestEveryHostIsHeardWhateverTheLastOneLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host, guest := channel(t)
		l := Listen(guest, true)
		defer l.Close()
		if _, err := guest.Write(junk().Draw(t, "left by the guest")); err != nil {
			t.Fatal(err)
		}
		go echo(l)
		for range rapid.IntRange(1, 4).Draw(t, "hosts") {
			if _, err := host.Write(junk().Draw(t, "left by the last host")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			c, err := Connect(ctx, reopen(t, host))
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			talk(t, c, payload().Draw(t, "payload"), rapid.IntRange(1, 50).Draw(t, "step"))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAHostThatLeavesInTheMiddleEndsItsConnection(t *testing.T) {
	host, guest := channel(t)
	l := Listen(guest, true)
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		_, err = io.Copy(io.Discard, c)
		ended <- err
		_ = c.Close()
		echo(l)
	}()
	first, err := Connect(t.Context(), reopen(t, host))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Write([]byte("half a frame that promises 250 kB more")); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Connect(t.Context(), reopen(t, host))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("the first connection ended with %v, want io.EOF", err)
	}
	talk(t, second, []byte("Pay"), 1)
}

func TestAWriterIsFreedWhenItsConnectionCloses(t *testing.T) {
	host, guest := channel(t)
	l := Listen(guest, true)
	defer l.Close()
	conns := make(chan net.Conn)
	go func() {
		for range 2 {
			if c, err := l.Accept(); err == nil {
				conns <- c
			}
		}
	}()
	first, err := Connect(t.Context(), reopen(t, host))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Write([]byte("P")); err != nil {
		t.Fatal(err)
	}
	c := <-conns
	stuck := make(chan error)
	go func() {
		_, err := c.Write(make([]byte, 8<<20)) // more than the channel takes
		stuck <- err
	}()
	time.Sleep(10 * time.Millisecond)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-stuck; err == nil {
		t.Fatal("a write of more than fits succeeded")
	}
	if _, err := c.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("writing on a closed connection: %v", err)
	}
	second, err := Connect(t.Context(), reopen(t, host))
	if err != nil {
		t.Fatalf("the rest of the old connection hides the answer: %v", err)
	}
	if _, err := second.Write([]byte("P")); err != nil {
		t.Fatal(err)
	}
	<-conns
}

func TestConnectGivesUpOnASilentGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, guest := net.Pipe()
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(guest)
			got <- b
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*SyncInterval+time.Millisecond)
		defer cancel()
		if _, err := Connect(ctx, host); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want a deadline", err)
		}
		if n := len(<-got); n != 11*frameSize {
			t.Fatalf("the guest got %d bytes, want 11 Syncs of %d", n, frameSize)
		}
	})
}

func TestConnectGivesUpOnAGuestThatFloods(t *testing.T) {
	host, guest := channel(t)
	go func() {
		flood := bytes.Repeat(Answer(Nonce{9}), 1000)
		for {
			if _, err := guest.Write(flood); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, host); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a deadline", err)
	}
}

func TestAnAnswerToSomebodyElseInPayloadIsAnError(t *testing.T) {
	host, guest := channel(t)
	go func() {
		b := make([]byte, frameSize)
		if _, err := io.ReadFull(guest, b); err != nil {
			return
		}
		nonce := Nonce(b[len(magic)+1:])
		_, _ = guest.Write(append(Answer(nonce), Answer(Nonce{7})...))
	}()
	c, err := Connect(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errCorrupt) {
		t.Fatalf("got %v, want %v", err, errCorrupt)
	}
}

func FuzzListen(f *testing.F) {
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Add(Sync(Nonce{1})[:20])
	f.Add(append(Sync(Nonce{1}), "P"+prefix+"\x00rest"...))
	f.Add(append(Sync(Nonce{1}), "P"+magic+"short"...))
	f.Fuzz(func(t *testing.T, noise []byte) {
		if len(noise) > 64<<10 {
			return
		}
		host, guest := channel(t)
		l := Listen(guest, true)
		defer l.Close()
		go echo(l)
		if _, err := host.Write(noise); err != nil { // it fits the channel
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := Connect(ctx, unclosed{host})
		if err != nil {
			t.Fatal(err)
		}
		sent := make([]byte, 100)
		rand.Read(sent)
		sent[0] = 'P'
		talk(t, c, sent, 7)
	})
}
