package machine

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/test/host/call"
)

// silence is how long a host says nothing before it is asked whether it lives,
// and how long it may take to say so: one that hangs is found soon.
const silence = 45 * time.Second

// arrive connects to the agent, as soon as it is there, and tells it the time.
func (m *Machine) arrive(ctx context.Context, a call.Arrival) error {
	raw, err := m.dial(ctx, agentSocket)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	channel, err := m.connect(ctx, raw)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return channel, nil },
		Protocols:   protocols, DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: 3 << 20, MaxReceiveBufferPerStream: 1 << 20,
			SendPingTimeout: silence, PingTimeout: silence,
		},
	}
	if m.agent, err = transport.NewClientConn(ctx, "http", "host:80"); err != nil {
		return err
	}
	a.Time, a.Seed = time.Now(), make([]byte, 64)
	rand.Read(a.Seed) // never fails
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	resp, err := m.post(ctx, call.PathArrive, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return resp.Close()
}

// connect connects to the agent; the machine's end is the end of it.
func (m *Machine) connect(ctx context.Context, raw io.ReadWriteCloser) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-m.ended:
			cancel(errors.New("the host has ended"))
		case <-ctx.Done():
		}
	}()
	conn, err := wire.Connect(ctx, raw)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	return conn, nil
}

func (m *Machine) post(ctx context.Context, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://host"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := m.agent.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("calling the host's agent: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, errors.Join(fmt.Errorf("the host's agent: %s", strings.TrimSpace(string(text))), err, resp.Body.Close())
	}
	return resp.Body, nil
}

// IO is what a command reads and writes; nil is nothing.
type IO struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// hangSlack is how much longer than a command's deadline its answer may take.
const hangSlack = 30 * time.Second

// Run runs a command in the host. An error means that the host is of no use
// any more, and has the end of its console.
func (m *Machine) Run(ctx context.Context, r call.Run, with IO) (call.Exit, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout+hangSlack, fmt.Errorf("the host hangs: %q has no end after %v", r.Argv, r.Timeout+hangSlack))
	defer cancel()
	line, err := json.Marshal(r)
	if err != nil {
		return call.Exit{}, err
	}
	for _, w := range []*io.Writer{&with.Stdout, &with.Stderr} {
		if *w == nil {
			*w = io.Discard
		}
	}
	body := io.Reader(bytes.NewReader(append(line, '\n')))
	if with.Stdin != nil {
		body = io.MultiReader(body, with.Stdin)
	}
	out, err := m.post(ctx, call.PathRun, body)
	if err != nil {
		return call.Exit{}, m.lost(errors.Join(err, context.Cause(ctx)))
	}
	defer out.Close()
	exit, err := call.Read(out, with.Stdout, with.Stderr)
	if err != nil {
		return exit, m.lost(errors.Join(err, context.Cause(ctx)))
	}
	return exit, nil
}
