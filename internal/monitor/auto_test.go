package monitor

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/dials"
	"github.com/banger-vm/banger/internal/guestd/listeners"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/test/guestrig"
)

// withAgent gives a monitor the real agent of a guest whose loopback is this
// host's, and whose kernel says what the test writes down.
func withAgent(t *testing.T, m *Monitor) (say func(ports ...int)) {
	t.Helper()
	proc, log := t.TempDir(), slog.New(slog.DiscardHandler)
	say = func(ports ...int) {
		text := "titles\n"
		for i, p := range ports {
			text += fmt.Sprintf("%d: 0100007F:%04X 00000000:0000 0A 0:0 0:0 0 0 0 %d\n", i, p, i+1)
		}
		tmp := filepath.Join(proc, "tmp")
		if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, filepath.Join(proc, "net", "tcp"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(proc, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	say()
	d, l := dials.New(log, dials.Config{}), listeners.New(log, listeners.Config{Proc: proc, Poll: time.Millisecond})
	t.Cleanup(d.Close)
	mux := http.NewServeMux()
	mux.Handle("POST "+wire.PathDial, d)
	mux.Handle("GET "+wire.PathListeners, l)
	mux.Handle("GET "+wire.PathListenersWatch, l)
	m.agent = guestrig.Serve(t, mux)
	return say
}

// greet serves a word to each connection on an address of a loopback.
func greet(t *testing.T, address, word string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("this host has no ", address)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, word)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func hear(t *testing.T, at string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		return "", err
	}
	defer c.Close()
	all, err := io.ReadAll(c)
	return string(all), err
}

// A server of either loopback is reached, as soon as the guest is up; one that
// is not there is a reset.
func TestForwardReachesTheGuest(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	withAgent(t, m)
	four, six := greet(t, "127.0.0.1:0", "four"), greet(t, "[::1]:0", "six")
	if err := m.forwards.Replace([]forward.Forward{{GuestPort: four}, {GuestPort: six}, {GuestPort: 1}}); err != nil {
		t.Fatal(err)
	}
	all := m.told()
	early := make(chan string, 1)
	go func() {
		word, err := hear(t, all[0].Open())
		early <- fmt.Sprint(word, err)
	}()
	select {
	case word := <-early:
		t.Errorf("before the guest is up: %s", word)
	case <-time.After(50 * time.Millisecond):
	}
	m.board.update(func(s *machine.Status) { s.ReadyMS = 1 })
	if word := <-early; word != "four<nil>" {
		t.Errorf("%q", word)
	}
	if word, err := hear(t, all[1].Open()); word != "six" || err != nil {
		t.Errorf("%q, %v", word, err)
	}
	if _, err := hear(t, all[2].Open()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("nothing listens: %v", err)
	}
	m.board.update(func(s *machine.Status) { s.ReadyMS, s.Phase = 0, machine.PhaseExited })
	if _, err := hear(t, all[0].Open()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the VM has ended: %v", err)
	}
}

// What the guest begins to listen on gets a forward, and loses it.
func TestAutoForward(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	say := withAgent(t, m)
	m.board.update(func(s *machine.Status) { s.ReadyMS = 1 })
	port := greet(t, "127.0.0.1:0", "hello") // so the host's own port is taken
	await := func(what string, ok func([]forward.Status) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(m.told()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s: %+v", what, m.told())
			}
		}
	}
	m.setAuto(true)
	m.setAuto(true)
	say(22, port)
	await("a forward", func(all []forward.Status) bool { return len(all) == 1 })
	st := m.told()[0]
	if word, err := hear(t, st.Open()); !st.Auto || st.GuestPort != port || st.Port == port || word != "hello" || err != nil {
		t.Errorf("%+v: %q, %v", st, word, err)
	}
	var kept keptForwards
	if err := jsonfile.Read(m.launch.Spec.Dir, forwardsFile, &kept); err != nil || !kept.Auto || len(kept.All) != 1 {
		t.Errorf("%+v, %v", kept, err)
	}
	l, err := m.handleListening(t.Context(), struct{}{})
	if err != nil || len(l.Guest.All) != 2 || len(l.Forwards) != 1 {
		t.Errorf("%+v, %v", l, err)
	}
	say(22)
	await("its end", func(all []forward.Status) bool { return len(all) == 0 })
	say(port)
	await("a forward again", func(all []forward.Status) bool { return len(all) == 1 })
	m.setAuto(false)
	if all := m.told(); len(all) != 0 {
		t.Errorf("they stay when they are turned off: %+v", all)
	}
	if _, err := hear(t, st.Open()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("it listens on: %v", err)
	}
}
