package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/clock"
)

// serveOn answers the connections of l until it is closed.
func (a *Agent) serveOn(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:        a.Handler(),
		Protocols:      protocols,
		MaxHeaderBytes: wire.MaxHeader,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          1024,
			MaxReceiveBufferPerConnection: 3 << 20,
			MaxReceiveBufferPerStream:     1 << 20,
			// The host keeps a buffer of this size for each exec.
			MaxReadFrameSize: 64 << 10,
			SendPingTimeout:  10 * time.Second,
			PingTimeout:      20 * time.Second,
		},
	}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	err := srv.Serve(l)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serving the host: %w", err)
}

// Handler serves the host, as Run does on the channel.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathHello, a.serveHello)
	mux.HandleFunc("GET "+wire.PathHealth, a.serveHealth)
	mux.HandleFunc("PUT "+wire.PathIdentity, a.serveIdentity)
	mux.HandleFunc("PUT "+wire.PathAuth, a.serveAuth)
	mux.HandleFunc("GET "+wire.PathWatch, a.serveWatch)
	mux.HandleFunc("POST "+wire.PathPower, a.servePower)
	mux.HandleFunc("POST "+wire.PathGrow, a.serveGrow)
	mux.Handle("POST "+wire.PathExec, a.exec)
	mux.Handle("POST "+wire.PathDial, a.cfg.Dial)
	mux.Handle("POST "+wire.PathFilesPut, a.put)
	mux.Handle("POST "+wire.PathFilesGet, a.get)
	mux.Handle("GET "+wire.PathListeners, a.cfg.Listeners)
	mux.Handle("GET "+wire.PathListenersWatch, a.cfg.Listeners)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil // nobody reads it
		mux.ServeHTTP(w, r)
	})
}

func (a *Agent) serveHello(w http.ResponseWriter, _ *http.Request) {
	h, _, _ := a.state.get()
	a.reply(w, h)
}

// serveWatch sends the state at once and whenever it changes.
func (a *Agent) serveWatch(w http.ResponseWriter, r *http.Request) {
	sent, leave := a.state.watch()
	defer leave()
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	last := 0
	for {
		h, version, changed := a.state.get()
		if version != last {
			if err := errors.Join(enc.Encode(h), flush.Flush()); err != nil {
				return // the host is gone
			}
			sent(version)
			last = version
			continue // sent was a change too
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

func (a *Agent) serveIdentity(w http.ResponseWriter, r *http.Request) {
	var id wire.Identity
	if !a.decodeUpTo(wire.MaxAuth, w, r, &id) {
		return
	}
	select {
	case a.identity <- struct{}{}:
		defer func() { <-a.identity }()
	case <-r.Context().Done():
		return
	}
	notes, err := a.cfg.Apply(id)
	if err != nil {
		a.log.Error("setting the identity failed", "err", err)
		a.fail(w, http.StatusUnprocessableEntity, api.KindInvalid, fmt.Errorf("the guest did not take its identity: %w", err))
		return
	}
	for _, text := range notes {
		a.state.note(text)
	}
	if id.Auth != nil { // before a command can run
		h, _, _ := a.state.get()
		a.giveAuth(cmp.Or(id.User, h.User), *id.Auth)
	}
	first := false
	a.state.update(func(h *wire.Hello) {
		first = h.Phase == wire.PhaseIdentity
		if id.User != "" {
			h.User = id.User
		}
		if h.ReadyMS == 0 {
			h.ReadyMS = clock.BootMS()
		}
		if first {
			h.Phase = wire.PhaseReady
		}
	})
	if first {
		if err := a.cfg.Identified(); err != nil {
			a.log.Error("letting the boot go on failed", "err", err)
		}
	}
	h, _, _ := a.state.get()
	a.reply(w, h)
}

// serveAuth changes what of its user's own a guest has that is up.
func (a *Agent) serveAuth(w http.ResponseWriter, r *http.Request) {
	var auth wire.Auth
	if !a.decodeUpTo(wire.MaxAuth, w, r, &auth) {
		return
	}
	select {
	case a.identity <- struct{}{}:
		defer func() { <-a.identity }()
	case <-r.Context().Done():
		return
	}
	h, _, _ := a.state.get()
	if h.Phase == wire.PhaseIdentity {
		a.fail(w, http.StatusConflict, api.KindUnavailable, errors.New("the guest has no identity yet"))
		return
	}
	a.giveAuth(h.User, auth)
	h, _, _ = a.state.get()
	a.reply(w, h)
}

// giveAuth gives a user what is the user's own; the identity is held.
func (a *Agent) giveAuth(user string, auth wire.Auth) {
	report := a.cfg.Auth(user, auth)
	a.state.update(func(h *wire.Hello) { h.Auth = &report })
}

func (a *Agent) servePower(w http.ResponseWriter, r *http.Request) {
	var p wire.Power
	if !a.decode(w, r, &p) {
		return
	}
	if p.Action != wire.HaltPoweroff && p.Action != wire.HaltReboot {
		a.fail(w, http.StatusBadRequest, api.KindInvalid, fmt.Errorf("unknown power action %.40q", p.Action))
		return
	}
	select {
	case a.shutdowns <- p.Action:
		a.reply(w, struct{}{})
	case <-r.Context().Done():
	}
}

// decode reads a bounded JSON body.
func (a *Agent) decode(w http.ResponseWriter, r *http.Request, v any) bool {
	return a.decodeUpTo(wire.MaxLine, w, r, v)
}

func (a *Agent) decodeUpTo(most int64, w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		a.fail(w, http.StatusBadRequest, api.KindInvalid, fmt.Errorf("the request cannot be read: %w", err))
	}
	return err == nil
}

func (a *Agent) reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.log.Debug("a reply was not sent", "err", err)
	}
}

func (a *Agent) fail(w http.ResponseWriter, status int, kind api.Kind, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(wire.ExecFail{Kind: string(kind), Message: err.Error()}); err != nil {
		a.log.Debug("a reply was not sent", "err", err)
	}
}
