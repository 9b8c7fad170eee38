package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/notify"
	"github.com/banger-vm/banger/internal/guestd/power"
)

// noExec is a guest that runs nothing.
type noExec struct{ http.Handler }

func (noExec) Running() int { return 7 }

// rig is an agent, a channel to it, and what it asked of its guest.
type rig struct {
	*Agent
	host       net.Conn
	applied    chan wire.Identity
	identified chan struct{}
	asked      chan wire.Halt
	ready      chan string
	gave       []string // user, ID, number of files, and whether the boot was let go on
}

func newRig(t *testing.T, init power.Init) *rig {
	t.Helper()
	r := &rig{applied: make(chan wire.Identity, 9), identified: make(chan struct{}, 9), asked: make(chan wire.Halt, 9), ready: make(chan string, 9)}
	a, err := New(slog.New(slog.DiscardHandler), Config{
		Version: "1.2.3",
		Boot:    Boot{InitMS: 5, User: "dev", Init: init, Notes: []string{"was revived"}},
		Apply: func(id wire.Identity) ([]string, error) {
			if id.Hostname == "broken" {
				return nil, errors.New("it is broken")
			}
			r.applied <- id
			return []string{"no hosts"}, nil
		},
		Auth: func(user string, a wire.Auth) wire.AuthReport {
			r.gave = append(r.gave, fmt.Sprintf("%s %s %d %d", user, a.ID, len(a.Files), len(r.identified)))
			return wire.AuthReport{ID: a.ID, Files: []string{"it does not fit"}}
		},
		Identified: func() error { r.identified <- struct{}{}; return nil },
		Ask:        func(h wire.Halt) error { r.asked <- h; return nil },
		Exec:       func(func() string) Executor { return noExec{http.NotFoundHandler()} },
		Dial:       http.NotFoundHandler(),
		Files:      func(func() string) (put, get http.Handler) { return http.NotFoundHandler(), http.NotFoundHandler() },
		Listeners:  http.NotFoundHandler(),
		Ready:      func(user string) { r.ready <- user },
		Grow: func(_ context.Context, home string, size int64) (int64, error) {
			if home != "/home/dev" || size > 1<<30 {
				return 0, errors.New("the kernel does not grow it")
			}
			return size, nil
		},
		Session: func(pid int) error {
			if pid != 42 {
				return errors.New("there is no such process")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Agent = a
	host, guest := net.Pipe()
	r.host = host
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.serveOn(ctx, wire.Listen(guest, true))
	}()
	go func() { _ = a.shutDown(ctx) }()
	t.Cleanup(func() {
		cancel()
		host.Close()
		guest.Close()
		<-done
	})
	return r
}

// client connects as the next host does, on the same channel.
func (r *rig) client(t *testing.T) *http.Client {
	t.Helper()
	conn, err := wire.Connect(t.Context(), shared{r.host})
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
		if conn == nil {
			return nil, net.ErrClosed
		}
		c := conn
		conn = nil
		return c, nil
	}}
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// shared keeps the channel when a host leaves it.
type shared struct{ io.ReadWriter }

func (shared) Close() error { return nil }

func call[T any](t *testing.T, c *http.Client, method, path string, body any) (out T, status int) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if raw, ok := body.(string); ok {
		b = []byte(raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, res.Status, err)
	}
	return out, res.StatusCode
}

func TestIdentityMakesTheGuestReadyOnce(t *testing.T) {
	r := newRig(t, power.Systemd)
	c := r.client(t)
	h, _ := call[wire.Hello](t, c, "GET", wire.PathHello, nil)
	if h.Phase != wire.PhaseIdentity || h.InitMS != 5 || h.Version != "1.2.3" || h.User != "dev" || h.ReadyMS != 0 || len(h.Notes) != 1 {
		t.Fatalf("before the identity: %+v", h)
	}
	for range 2 {
		h, _ = call[wire.Hello](t, c, "PUT", wire.PathIdentity, wire.Identity{Hostname: "web", User: "ada"})
		if id := <-r.applied; id.Hostname != "web" {
			t.Fatalf("applied %+v", id)
		}
		if h.Phase != wire.PhaseReady || h.User != "ada" || h.ReadyMS == 0 || len(h.Notes) != 2 {
			t.Fatalf("with the identity: %+v", h)
		}
	}
	if n := len(r.identified); n != 1 {
		t.Fatalf("the boot was let go on %d times", n)
	}
}

// What is the user's own is there before the boot goes on, and may change later.
func TestAuthComesBeforeAnyCommand(t *testing.T) {
	r := newRig(t, power.Systemd)
	c := r.client(t)
	auth := wire.Auth{ID: "1", Set: credential.Set{Files: []credential.File{{Path: "~/a", Mode: 0o600, Data: make(credential.Secret, 200<<10)}}}}
	if fail, status := call[wire.ExecFail](t, c, "PUT", wire.PathAuth, auth); status != 409 || fail.Kind != "unavailable" {
		t.Errorf("before the identity: %d %+v", status, fail)
	}
	h, _ := call[wire.Hello](t, c, "PUT", wire.PathIdentity, wire.Identity{Hostname: "web", User: "ada", Auth: &auth})
	if h.Phase != wire.PhaseReady || h.Auth == nil || h.Auth.ID != "1" || len(h.Auth.Files) != 1 {
		t.Errorf("%+v, %+v", h, h.Auth)
	}
	h, _ = call[wire.Hello](t, c, "PUT", wire.PathAuth, wire.Auth{ID: "2"})
	if h.Auth == nil || h.Auth.ID != "2" {
		t.Errorf("%+v", h.Auth)
	}
	call[wire.Hello](t, c, "PUT", wire.PathIdentity, wire.Identity{Hostname: "web", User: "ada"})
	if want := []string{"ada 1 1 0", "ada 2 0 1"}; !slices.Equal(r.gave, want) {
		t.Errorf("%q", r.gave)
	}
	if fail, status := call[wire.ExecFail](t, c, "PUT", wire.PathAuth, strings.Repeat(" ", wire.MaxAuth+1)); status != 400 {
		t.Errorf("%d %+v", status, fail)
	}
}

func TestARefusedRequestSaysWhy(t *testing.T) {
	r := newRig(t, power.Systemd)
	c := r.client(t)
	for _, test := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{"PUT", wire.PathIdentity, "{", 400, "cannot be read"},
		{"PUT", wire.PathIdentity, strings.Repeat(" ", wire.MaxAuth+1), 400, "too large"},
		{"PUT", wire.PathIdentity, wire.Identity{Hostname: "broken"}, 422, "it is broken"},
		{"POST", wire.PathPower, wire.Power{Action: "explode"}, 400, "explode"},
		{"POST", wire.PathPower, strings.Repeat(" ", wire.MaxLine+1), 400, "too large"},
	} {
		fail, status := call[wire.ExecFail](t, c, test.method, test.path, test.body)
		if status != test.status || !strings.Contains(fail.Message, test.says) || fail.Kind != "invalid" {
			t.Errorf("%s %s: %d %+v", test.method, test.path, status, fail)
		}
	}
	if h, _ := call[wire.Hello](t, c, "GET", wire.PathHello, nil); h.Phase != wire.PhaseIdentity || len(r.identified) != 0 {
		t.Errorf("a refused identity counted: %+v", h)
	}
}

func TestTheNextHostIsServedThoughTheLastLeftInTheMiddle(t *testing.T) {
	r := newRig(t, power.Systemd)
	for range 3 {
		c := r.client(t)
		watch, err := c.Get("http://agent" + wire.PathWatch) // left open
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { watch.Body.Close() })
		if h, _ := call[wire.Hello](t, c, "GET", wire.PathHello, nil); h.Protocol != wire.Protocol {
			t.Fatalf("hello: %+v", h)
		}
		if _, err := fmt.Fprint(r.host, "\x00\x10\x00 garbage from a dying host"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatchTellsEveryPhaseAndHaltWaitsForIt(t *testing.T) {
	r := newRig(t, power.Systemd)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := r.told(ctx, notify.Halted(wire.HaltReboot)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nobody watched, but halted was passed on: %v", err)
	}
	r.state.update(func(h *wire.Hello) { h.Phase, h.Halt = wire.PhaseReady, "" })

	res, err := r.client(t).Get("http://agent" + wire.PathWatch)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func() (h wire.Hello) {
		if !lines.Scan() {
			t.Fatalf("the watch ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := next(); h.Phase != wire.PhaseReady {
		t.Fatalf("at first: %+v", h)
	}
	for _, step := range []struct {
		word  string
		phase wire.Phase
	}{
		{notify.Ready, wire.PhaseSystem},
		{notify.Stopping, wire.PhaseStopping},
		{notify.Halted(wire.HaltReboot), wire.PhaseHalted},
	} {
		if err := r.told(t.Context(), step.word); err != nil {
			t.Fatal(err)
		}
		if h := next(); h.Phase != step.phase {
			t.Fatalf("after %q: %+v", step.word, h)
		}
	}
	if h, _, _ := r.state.get(); h.Halt != wire.HaltReboot || h.SystemMS == 0 {
		t.Fatalf("at the end: %+v", h)
	}
	select {
	case user := <-r.ready:
		if user != "dev" {
			t.Errorf("the system is ready for %q", user)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody is told that the system is ready")
	}
	if err := errors.Join(r.told(t.Context(), notify.Session(42)), r.told(t.Context(), notify.Ready)); err != nil {
		t.Error(err)
	}
	if err := r.told(t.Context(), notify.Session(41)); err == nil {
		t.Error("a session of no process was taken")
	}
	if len(r.ready) > 0 {
		t.Error("a system was ready twice")
	}
	if err := r.told(t.Context(), "nonsense"); err == nil {
		t.Fatal("nonsense was taken")
	}
}

func TestAShutdownIsAskedForOfTheInit(t *testing.T) {
	for _, test := range []struct {
		init  power.Init
		phase wire.Phase
	}{
		{power.Systemd, wire.PhaseIdentity}, // it tells of itself
		{power.Busybox, wire.PhaseStopping}, // it does not
	} {
		r := newRig(t, test.init)
		c := r.client(t)
		call[struct{}](t, c, "POST", wire.PathPower, wire.Power{Action: wire.HaltReboot})
		if h := <-r.asked; h != wire.HaltReboot {
			t.Errorf("%s was asked for %s", test.init, h)
		}
		deadline := time.Now().Add(5 * time.Second)
		for h, _, _ := r.state.get(); h.Phase != test.phase; h, _, _ = r.state.get() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: phase %s, want %s", test.init, h.Phase, test.phase)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestHealth(t *testing.T) {
	r := newRig(t, power.Systemd)
	h, status := call[wire.Health](t, r.client(t), "GET", wire.PathHealth, nil)
	if status != 200 || h.UptimeMS <= 0 || h.MemTotal < h.MemAvail || h.MemAvail <= 0 || h.Execs != 7 || h.RootFree <= 0 || h.RootSize < h.RootFree || h.CPUs < 1 || h.BusyMS <= 0 {
		t.Errorf("%d %+v", status, h)
	}
}

func TestNotesAreBoundedAndOnlyOnce(t *testing.T) {
	s := newState(wire.Hello{})
	for i := range 100 {
		s.note(fmt.Sprint("note ", i/2))
	}
	if h, _, _ := s.get(); len(h.Notes) != maxNotes || h.Notes[1] != "note 1" {
		t.Errorf("%q", h.Notes)
	}
}

func TestFindPort(t *testing.T) {
	sys := fstest.MapFS{
		"vport0p0/name": {Data: []byte("org.qemu.guest_agent.0\n")},
		"vport1p3/name": {Data: []byte(wire.PortName + "\n")},
		"vport2p1/dev":  {Data: []byte("1:2\n")},
	}
	if name, err := findPort(sys, wire.PortName); err != nil || name != "vport1p3" {
		t.Errorf("%q, %v", name, err)
	}
	if name, err := findPort(fstest.MapFS{}, wire.PortName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without ports: %q, %v", name, err)
	}
}

func TestProcessors(t *testing.T) {
	n, busy, stolen := processors([]byte("cpu  10 20 30 1000 2000 40 50 60 5 6\ncpu0 1 2 3\ncpu1 4 5 6\nintr 77 cpu\nctxt 5\n"))
	if n != 2 || busy != 1500 || stolen != 600 {
		t.Errorf("%d, %g, %g", n, busy, stolen)
	}
	for _, text := range []string{"", "\n", "cpu", "cpu x y", "intr 5\n", "cpu -1 2\n"} {
		if n, busy, stolen := processors([]byte(text)); n != 0 || busy != 0 || stolen != 0 {
			t.Errorf("%q: %d, %g, %g", text, n, busy, stolen)
		}
	}
}
