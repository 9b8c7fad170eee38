package stream

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// brittle breaks both directions after a number of written bytes.
type brittle struct {
	net.Conn
	left int // -1: never
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.left < 0 || len(p) <= b.left {
		b.left -= min(len(p), max(b.left, 0))
		return b.Conn.Write(p)
	}
	n, _ := b.Conn.Write(p[:b.left])
	b.left = 0
	b.Conn.Close()
	return n, io.ErrClosedPipe
}

// connect resumes both ends and serves one connection.
func connect(client, agent *End, first bool, toAgent, toClient int) error {
	off, err := client.Sender(Stdin).Resume(agent.Receiver(Stdin).Offset())
	if err != nil || off != agent.Receiver(Stdin).Offset() {
		return fmt.Errorf("stdin goes on at %d, %v", off, err)
	}
	for _, id := range []ID{Stdout, Stderr} {
		off, err := agent.Sender(id).Resume(client.Receiver(id).Offset())
		if err == nil {
			err = client.Receiver(id).Skip(off)
		}
		if err != nil {
			return err
		}
	}
	client.ResumeControl(agent.ControlSeq(), first)
	a, b := net.Pipe()
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = client.Serve(&brittle{a, toAgent}) })
	wg.Go(func() { errs[1] = agent.Serve(&brittle{b, toClient}) })
	wg.Wait()
	for _, err := range errs {
		if errors.Is(err, ErrProtocol) {
			return err
		}
	}
	return nil
}

// produce writes n random bytes in random pieces.
func produce(s *Sender, seed int64, n, biggest int) []byte {
	r := rand.New(rand.NewSource(seed))
	sum := sha256.New()
	for n > 0 {
		p := make([]byte, min(n, 1+r.Intn(biggest)))
		r.Read(p)
		sum.Write(p)
		if r.Intn(2) == 0 {
			s.Write(p)
		} else {
			s.ReadFrom(bytes.NewReader(p))
		}
		n -= len(p)
	}
	s.Close()
	return sum.Sum(nil)
}

func consume(r *Receiver, seed int64) []byte {
	sum := sha256.New()
	if seed%2 == 0 {
		r.WriteTo(sum)
		return sum.Sum(nil)
	}
	rnd := rand.New(rand.NewSource(seed))
	buf := make([]byte, 40<<10)
	for {
		n, err := r.Read(buf[:1+rnd.Intn(len(buf))])
		sum.Write(buf[:n])
		if err != nil {
			return sum.Sum(nil)
		}
	}
}

func TestNothingIsLostOrDoubled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var signals, got []int
		agent := NewAgent(Hooks{Signal: func(n int) { got = append(got, n) }, Resize: func(_, _ uint16) {}})
		client := NewClient()
		var wg sync.WaitGroup
		sums := make([][]byte, 6)
		size := rapid.IntRange(0, 300<<10)
		piece := rapid.SampledFrom([]int{3, 100, 70 << 10})
		for i, s := range []*Sender{client.Sender(Stdin), agent.Sender(Stdout), agent.Sender(Stderr)} {
			seed, biggest := rapid.Int64().Draw(t, "seed"), piece.Draw(t, "piece")
			n := min(size.Draw(t, "size"), 5000*biggest)
			wg.Go(func() { sums[2*i] = produce(s, seed, n, biggest) })
		}
		for i, r := range []*Receiver{agent.Receiver(Stdin), client.Receiver(Stdout), client.Receiver(Stderr)} {
			seed := rapid.Int64().Draw(t, "seed")
			wg.Go(func() { sums[2*i+1] = consume(r, seed) })
		}
		go func() { wg.Wait(); agent.SetExit([]byte("{}")) }()
		go func() { <-client.Exited(); wg.Wait(); client.Finish() }()

		breaks := rapid.SliceOfN(rapid.IntRange(0, 200<<10), 0, 12).Draw(t, "breaks")
		for i := 0; !agent.Finished(); i++ {
			if i < 20 {
				n := 1 + i%64
				if err := client.Signal(n); err == nil {
					signals = append(signals, n)
				}
				_ = client.Resize(uint16(i), 80)
			}
			left := [2]int{-1, -1}
			if i < len(breaks) {
				left[breaks[i]%2] = breaks[i]
			}
			if err := connect(client, agent, i == 0, left[0], left[1]); err != nil {
				t.Fatal(err)
			}
			if i > len(breaks) && client.Finished() {
				break
			}
		}
		if !client.Finished() || string(client.Exit()) != "{}" {
			t.Fatalf("the exit is %q", client.Exit())
		}
		for i := 0; i < len(sums); i += 2 {
			if !bytes.Equal(sums[i], sums[i+1]) {
				t.Fatalf("stream %d differs", i/2)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(signals) {
			t.Fatalf("signals %v came as %v", signals, got)
		}
	})
}

func TestAStalledReaderHoldsAWindow(t *testing.T) {
	for _, piece := range []int{1, 1000, 1 << 20} {
		agent, client := NewAgent(Hooks{}), NewClient()
		a, b := net.Pipe()
		go client.Serve(a)
		counted := &counter{Conn: b}
		go agent.Serve(counted)
		out := agent.Sender(Stdout)
		go func() {
			p := make([]byte, piece)
			for {
				if _, err := out.Write(p); err != nil {
					return
				}
			}
		}()
		deadline := time.Now().Add(10 * time.Second)
		for last := -1; ; last = counted.total() { // until it stalls
			if time.Now().After(deadline) {
				t.Fatal("it never stalled")
			}
			time.Sleep(50 * time.Millisecond)
			if n := counted.total(); n == last && n > 0 {
				break
			}
		}
		if n := counted.total(); n > MaxBuffered {
			t.Errorf("pieces of %d: %d bytes under way", piece, n)
		}
		if n := out.Offset(); n > 2*Window {
			t.Errorf("pieces of %d: the writer got to byte %d", piece, n)
		}
		client.Receiver(Stdout).Stop()
		for _, err := out.Write(nil); !errors.Is(err, ErrStopped); _, err = out.Write(nil) {
			if time.Now().After(deadline) {
				t.Fatal("the writer never learned that nobody reads")
			}
			time.Sleep(time.Millisecond)
		}
		agent.Close(nil)
		client.Close(nil)
	}
}

type counter struct {
	net.Conn
	mu sync.Mutex
	n  int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	return n, err
}

func (c *counter) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
