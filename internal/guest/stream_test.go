package guest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guestd/execs"
)

// counting passes reads on, and tells how far they are.
type counting struct {
	r  io.Reader
	n  int
	at func(n int)
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	c.at(c.n)
	return n, err
}

func TestBrokenConnectionsLoseAndDoubleNothing(t *testing.T) {
	const size, breaks = 50 << 20, 20
	r := newRig(t, execs.Config{})
	data := make([]byte, size)
	rnd := rand.New(rand.NewSource(1))
	rnd.Read(data)
	next := 0
	in := &counting{r: bytes.NewReader(data), at: func(n int) {
		if n > next*size/breaks {
			next++
			r.breakSomething(rnd)
		}
	}}
	sum := sha256.New()
	var errOut bytes.Buffer
	x := r.start(api.ExecSpec{Argv: []string{"cat"}, User: "root"}, client.ExecConfig{Stdin: in, Stdout: sum, Stderr: &errOut})
	if exit := wait(t, x); exit.Code != 0 {
		t.Fatalf("the exit is %+v, stderr %q", exit, errOut.String())
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("what came back is not what was sent")
	}
	if next < breaks {
		t.Errorf("the connection broke %d times only", next)
	}
}

// A snapshot of Firecracker drops the vsock without a sign to the host: reads
// hang, writes fill a buffer. Silence is noticed, and the streams go on.
func TestFrozenChannelsLoseAndDoubleNothing(t *testing.T) {
	const size, freezes = 50 << 20, 10
	host := guest.Config{Idle: 150 * time.Millisecond, Silence: 100 * time.Millisecond, Attempt: time.Second}
	r := newRigWith(t, execs.Config{}, host)
	data := make([]byte, size)
	rand.New(rand.NewSource(2)).Read(data)
	next := 0
	in := &counting{r: bytes.NewReader(data), at: func(n int) {
		if n > next*size/freezes {
			next++
			r.freezeAgent()
		}
	}}
	sum := sha256.New()
	x := r.start(api.ExecSpec{Argv: []string{"cat"}, User: "root"}, client.ExecConfig{Stdin: in, Stdout: sum})
	began := time.Now()
	if exit := wait(t, x); exit.Code != 0 {
		t.Fatalf("the exit is %+v", exit)
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("what came back is not what was sent")
	}
	if next < freezes {
		t.Errorf("the channel froze %d times only", next)
	}
	t.Logf("%d freezes, %v", next, time.Since(began))
}

func TestHundredMegabytesInOneLine(t *testing.T) {
	r := newRig(t, execs.Config{})
	var n counter
	x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", "head -c 100000000 /dev/zero"}, User: "root"}, client.ExecConfig{Stdout: &n})
	if exit := wait(t, x); exit.Code != 0 || n != 100_000_000 {
		t.Errorf("%d bytes, exit %+v", n, exit)
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// stuck blocks until it is let go.
type stuck chan struct{}

func (s stuck) Write(p []byte) (int, error) { <-s; return len(p), nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestStalledStreamsLeaveHealthAlone(t *testing.T) {
	const each = 200
	r := newRig(t, execs.Config{})
	let := make(stuck)
	var all []*client.Exec
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range each {
		wg.Go(func() {
			out := r.start(api.ExecSpec{Argv: []string{"cat", "/dev/zero"}, User: "root"}, client.ExecConfig{Stdout: let})
			in := r.start(api.ExecSpec{Argv: []string{"sleep", "1000"}, User: "root"}, client.ExecConfig{Stdin: zeros{}})
			mu.Lock()
			defer mu.Unlock()
			all = append(all, out, in)
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	time.Sleep(300 * time.Millisecond) // let them fill all that there is
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		h, err := r.guest.Health(ctx)
		cancel()
		if err != nil || h.Execs != 2*each {
			t.Fatalf("health says %+v, %v", h, err)
		}
	}
	if exit := wait(t, r.start(api.ExecSpec{Argv: []string{"true"}, User: "root"}, client.ExecConfig{})); exit.Code != 0 {
		t.Errorf("a command between them ended with %+v", exit)
	}
	close(let)
	for _, x := range all {
		if err := x.Signal(9); err != nil {
			t.Error(err)
		}
	}
	for _, x := range all {
		if exit := wait(t, x); exit.Signal != 9 {
			t.Errorf("the exit is %+v", exit)
		}
	}
}

func TestACommandThatEndsBeforeItsInput(t *testing.T) {
	r := newRig(t, execs.Config{})
	for _, script := range []string{"exit 4", "exec <&-; sleep 0.3; exit 4"} {
		x := r.start(api.ExecSpec{Argv: []string{"sh", "-c", script}, User: "root"}, client.ExecConfig{Stdin: zeros{}})
		if exit := wait(t, x); exit.Code != 4 {
			t.Errorf("%s: the exit is %+v", script, exit)
		}
	}
}

// limited fails after some bytes, as a closed pipe does.
type limited int

var errPipe = errors.New("closed pipe")

func (l *limited) Write(p []byte) (int, error) {
	if *l -= limited(len(p)); *l < 0 {
		return 0, errPipe
	}
	return len(p), nil
}

func TestAnOutputThatNobodyReads(t *testing.T) {
	r := newRig(t, execs.Config{})
	left := limited(100 << 10)
	x := r.start(api.ExecSpec{Argv: []string{"cat", "/dev/zero"}, User: "root"}, client.ExecConfig{Stdout: &left})
	exit, err := x.Wait()
	if !errors.Is(err, errPipe) || exit.Code != 128+13 {
		t.Errorf("the exit is %+v, %v", exit, err)
	}
}

func TestAGuestThatWasRestarted(t *testing.T) {
	r := newRig(t, execs.Config{})
	x := r.start(api.ExecSpec{Argv: []string{"sleep", "1000"}, User: "root"}, client.ExecConfig{})
	r.execs.Close() // its commands are gone, as in a new boot
	eventually(t, "the old guest's command ends", func() bool { return r.execs.Running() == 0 })
	_, err := x.Wait()
	var e *api.Error
	if !errors.As(err, &e) || e.Kind != api.KindNotFound {
		t.Errorf("the error is %v", err)
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	r := newRig(t, execs.Config{})
	for i, tc := range []struct {
		id   string
		spec api.ExecSpec
		kind api.Kind
	}{
		{"SHORT", api.ExecSpec{Argv: []string{"true"}}, api.KindInvalid},
		{client.NewExecID(), api.ExecSpec{Argv: []string{"true"}, User: "nobody-of-that-name"}, api.KindInvalid},
		{client.NewExecID(), api.ExecSpec{Argv: []string{"true"}, Env: []string{"nonsense"}}, api.KindInvalid},
		{client.NewExecID(), api.ExecSpec{Argv: []string{fmt.Sprint(make([]byte, 1<<20))}}, api.KindInvalid},
	} {
		_, err := client.StartExec(context.Background(), r.dial, tc.id, tc.spec, client.ExecConfig{})
		var e *api.Error
		if !errors.As(err, &e) || e.Kind != tc.kind {
			t.Errorf("case %d: the error is %v", i, err)
		}
	}
	_, err := client.AttachExec(context.Background(), r.dial, client.NewExecID(), client.ExecConfig{})
	var e *api.Error
	if !errors.As(err, &e) || e.Kind != api.KindNotFound {
		t.Errorf("attaching to nothing: %v", err)
	}
}
