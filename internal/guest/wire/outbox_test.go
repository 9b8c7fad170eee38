package wire

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowPort takes what is written to it once it is let.
type slowPort struct {
	let    chan struct{}
	mu     sync.Mutex
	writes [][]byte
	err    error
}

func (p *slowPort) Write(b []byte) (int, error) {
	<-p.let
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	p.writes = append(p.writes, bytes.Clone(b))
	return len(b), nil
}

func (p *slowPort) all() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Join(p.writes, nil)
}

func TestOutboxGathersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port := &slowPort{let: make(chan struct{})}
		var o outbox
		o.init(port)
		for _, s := range []string{"one ", "two ", "three"} {
			if n, err := o.write([]byte(s)); n != len(s) || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
			synctest.Wait()
		}
		close(port.let)
		o.flush(time.Second)
		if got := string(port.all()); got != "one two three" {
			t.Errorf("the port got %q", got)
		}
		if len(port.writes) != 2 { // the first was under way already
			t.Errorf("%d writes, not 2: %q", len(port.writes), port.writes)
		}
		o.close()
		if _, err := o.write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after the end: %v", err)
		}
	})
}

func TestOutboxIsBoundedAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port := &slowPort{let: make(chan struct{})}
		var o outbox
		o.init(port)
		data := bytes.Repeat([]byte("0123456789abcdef"), 5*outboxSize/16)
		done := make(chan error, 1)
		go func() {
			_, err := o.write(data)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the outbox took five times its size: %v", err)
		default:
		}
		close(port.let)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		o.flush(time.Second)
		if !bytes.Equal(port.all(), data) {
			t.Errorf("the port got %d bytes, or others, of %d", len(port.all()), len(data))
		}
	})
}

func TestOutboxTellsThePortsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		port := &slowPort{let: make(chan struct{}), err: broken}
		close(port.let)
		var o outbox
		o.init(port)
		if _, err := o.write([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := o.write([]byte("later")); !errors.Is(err, broken) {
			t.Errorf("the write after it: %v", err)
		}
		o.close() // nobody is waited for
	})
}
