// Package fcapi is a client of Firecracker's HTTP API on its Unix socket, for
// version 1.12 and later. What a server answers is bounded and checked: it
// may have been taken over by its guest.
package fcapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
)

const (
	// maxReply bounds a reply's body; the longest real one is the VM's whole
	// configuration, a few kilobytes.
	maxReply  = 64 << 10
	maxHeader = 16 << 10
	// quick bounds the calls that move no memory, whatever their context says.
	quick = 20 * time.Second
)

// Error is a call that Firecracker refused.
type Error struct {
	Method, Path string
	Status       int
	Message      string // Firecracker's own, made printable; may be empty
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("Firecracker refused %s %s with status %d", e.Method, e.Path, e.Status)
	}
	return fmt.Sprintf("Firecracker refused %s %s: %s", e.Method, e.Path, e.Message)
}

// Client talks to one Firecracker. It connects when there is something to ask.
type Client struct {
	http    *http.Client
	version atomic.Pointer[Version] // nil until asked for
}

// New makes a client; dial connects to the API's socket.
func New(dial func(ctx context.Context) (net.Conn, error)) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        1, // its server has few places
		DisableCompression:     true,
	}}}
}

// Close lets go of the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// get asks for what lies at path.
func (c *Client) get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	body, err := c.exchange(ctx, http.MethodGet, path, nil, http.StatusOK)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer of Firecracker to GET %s is not understood: %w", path, err)
	}
	return nil
}

// send sends in to path; limit bounds it where it is not 0.
func (c *Client) send(ctx context.Context, method, path string, in any, limit time.Duration) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding a call of Firecracker: %w", err)
	}
	_, err = c.exchange(ctx, method, path, body, http.StatusNoContent)
	return err
}

// exchange makes a call and reads its whole answer, which must have status want.
func (c *Client) exchange(ctx context.Context, method, path string, in []byte, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://firecracker"+path, bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling Firecracker, %s %s: %w", method, path, cause(ctx, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("reading Firecracker's answer to %s %s: %w", method, path, cause(ctx, err))
	}
	if len(body) > maxReply {
		return nil, fmt.Errorf("the answer of Firecracker to %s %s is longer than %d bytes", method, path, maxReply)
	}
	if resp.StatusCode != want {
		return nil, refusal(method, path, resp.StatusCode, body)
	}
	return body, nil
}

// cause prefers why the context ended to what that did to the connection.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner // the URL that net/http adds says nothing
	}
	return err
}

func refusal(method, path string, status int, body []byte) error {
	var fault struct {
		Message string `json:"fault_message"`
	}
	// One that is no JSON is a refusal all the same.
	_ = json.Unmarshal(body, &fault)
	return &Error{Method: method, Path: path, Status: status, Message: hostexec.LastLine([]byte(fault.Message))}
}
