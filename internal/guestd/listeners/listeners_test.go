package listeners_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/listeners"
	"github.com/banger-vm/banger/test/guestrig"
)

func serve(t *testing.T) *guest.Client {
	return guestrig.Serve(t, listeners.New(slog.New(slog.DiscardHandler), listeners.Config{Poll: 5 * time.Millisecond}))
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// What this process listens on is told by the agent to the host's end, with its
// program and user.
func TestListeners(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	all, err := serve(t).Listeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all.All, func(g wire.Listening) bool { return g.Network == "tcp" && g.Port == port(l) })
	if at < 0 {
		t.Fatalf("port %d is not among %+v", port(l), all)
	}
	got := all.All[at]
	if got.Address != "127.0.0.1" || got.PID != os.Getpid() || got.User != me.Username || !strings.HasPrefix("listeners.test", got.Process) || got.Process == "" {
		t.Errorf("%+v", got)
	}
}

// A watch tells at once, and whenever a listener comes or goes.
func TestWatch(t *testing.T) {
	c := serve(t)
	told := make(chan wire.Listeners)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		over <- c.WatchListeners(ctx, func(all wire.Listeners) error {
			select {
			case told <- all:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	listens := func(port int) bool {
		select {
		case all := <-told:
			return slices.ContainsFunc(all.All, func(g wire.Listening) bool { return g.Port == port })
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is told")
			return false
		}
	}
	listens(0) // at once
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for !listens(port(l)) { // others may come and go too
	}
	l.Close()
	for listens(port(l)) {
	}
	cancel()
	if err := <-over; err == nil {
		t.Error("a watch ended without a reason")
	}
}

// An agent from before this was there.
func TestOldAgent(t *testing.T) {
	c := guestrig.Serve(t, http.NotFoundHandler())
	_, err := c.Listeners(t.Context())
	if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "older banger") {
		t.Error(err)
	}
	err = c.WatchListeners(t.Context(), func(wire.Listeners) error { return nil })
	if fault.KindOf(err) != fault.Precondition {
		t.Error(err)
	}
}

// A guest whose /proc cannot be read says so.
func TestNoProc(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/net", 0o755), os.WriteFile(dir+"/net/tcp", []byte("titles\n 0: x y 0A a b c 0 d 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	listeners.New(slog.New(slog.DiscardHandler), listeners.Config{Proc: dir}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, wire.PathListeners, nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "unknown form") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
