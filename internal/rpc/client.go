package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
)

// Client makes calls on one connection, any number at once.
type Client struct {
	conn *LineConn
	done chan struct{} // closed when the connection is lost

	mu      sync.Mutex // leaf: never held over I/O
	next    uint64
	waiting map[string]chan *Reply
	lost    error // why the connection is lost
}

// NewClient takes over conn.
func NewClient(conn net.Conn) *Client {
	c := &Client{
		conn:    NewLineConn(conn, MaxReply),
		done:    make(chan struct{}),
		waiting: make(map[string]chan *Reply),
	}
	go c.read()
	return c
}

// Close ends the connection; calls under way return an error.
func (c *Client) Close() error { return c.conn.Close() }

// Lost is closed when the connection is lost.
func (c *Client) Lost() <-chan struct{} { return c.done }

// Call calls a method and decodes its result. Errors are *api.Error; a lost
// connection is of the kind unavailable.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	encoded, err := json.Marshal(params)
	if err != nil {
		return invalid(fmt.Sprintf("the parameters of %s cannot be encoded: %v", method, err), "")
	}
	id, reply := c.expect()
	defer c.forget(id)
	line, err := json.Marshal(Request{Version: "2.0", ID: json.RawMessage(id), Method: method, Params: encoded})
	if err != nil {
		return invalid(fmt.Sprintf("the call of %s cannot be encoded: %v", method, err), "")
	}
	if err := c.conn.WriteLine(line); err != nil {
		return c.writeFailed(err)
	}
	select {
	case r := <-reply:
		return finish(method, r, result)
	case <-ctx.Done():
		return AsAPI(fmt.Errorf("waiting for %s: %w", method, ctx.Err()))
	case <-c.done:
		select {
		case r := <-reply: // it came with the connection's last bytes
			return finish(method, r, result)
		default:
		}
		return c.lostError()
	}
}

func finish(method string, r *Reply, result any) error {
	if r.Error != nil {
		return r.Error.API()
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return api.NewError(api.KindInternal, fmt.Sprintf("the result of %s cannot be decoded: %v", method, err),
			OtherVersion)
	}
	return nil
}

func (c *Client) expect() (string, chan *Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := strconv.FormatUint(c.next, 10)
	ch := make(chan *Reply, 1)
	c.waiting[id] = ch
	return id, ch
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// writeFailed prefers the reason that the server gave before it hung up.
func (c *Client) writeFailed(err error) error {
	select {
	case <-c.done:
	case <-time.After(time.Second):
		c.conn.Close()
		<-c.done
	}
	var told *api.Error
	if lost := c.lostError(); errors.As(lost, &told) {
		return lost
	}
	return unavailable(err)
}

// read hands replies to those that wait, until the connection is lost.
func (c *Client) read() {
	err := c.readReplies()
	c.conn.Close()
	c.mu.Lock()
	c.lost = err
	c.mu.Unlock()
	close(c.done)
}

func (c *Client) readReplies() error {
	for {
		line, err := c.conn.ReadLine()
		if err != nil {
			return unavailable(err)
		}
		r, err := parseReply(line)
		if err != nil {
			return unavailable(fmt.Errorf("it sent a line that is no reply: %w", err))
		}
		if len(r.ID) == 0 || string(r.ID) == "null" {
			if r.Error != nil {
				return r.Error.API()
			}
			continue
		}
		c.mu.Lock()
		ch := c.waiting[string(r.ID)]
		delete(c.waiting, string(r.ID))
		c.mu.Unlock()
		if ch != nil { // nil: its caller has stopped waiting
			ch <- r
		}
	}
}

// parseReply decodes a reply. The form that banger's server gives a result is
// cut out: a long list is then scanned once less, when it is decoded.
func parseReply(line []byte) (*Reply, error) {
	const head, middle = `{"jsonrpc":"2.0","id":`, `,"result":`
	if rest, ok := bytes.CutPrefix(line, []byte(head)); ok {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if result, ok := bytes.CutPrefix(rest[digits:], []byte(middle)); ok && digits > 0 && bytes.HasSuffix(result, []byte("}")) {
			return &Reply{ID: rest[:digits], Result: result[:len(result)-1]}, nil
		}
	}
	var r Reply
	err := json.Unmarshal(line, &r)
	return &r, err
}

func (c *Client) lostError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

func unavailable(err error) *api.Error {
	return api.NewError(api.KindUnavailable, fmt.Sprintf("the connection was lost: %v", bare(err)), "")
}
