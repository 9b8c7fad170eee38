package guest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
)

// Reach returns once the agent can be called.
func (c *Client) Reach(ctx context.Context) error {
	_, err := c.connected(ctx)
	return err
}

// Hello asks for the agent's state.
func (c *Client) Hello(ctx context.Context) (wire.Hello, error) {
	var h wire.Hello
	if err := c.call(ctx, http.MethodGet, wire.PathHello, nil, &h); err != nil {
		return wire.Hello{}, err
	}
	return h, checkHello(h)
}

// Health asks for a sign of life.
func (c *Client) Health(ctx context.Context) (wire.Health, error) {
	var answer json.RawMessage
	if err := c.call(ctx, http.MethodGet, wire.PathHealth, nil, &answer); err != nil {
		return wire.Health{}, err
	}
	return decodeHealth(answer)
}

// SetIdentity makes the guest its VM; doing it again is harmless.
func (c *Client) SetIdentity(ctx context.Context, id wire.Identity) (wire.Hello, error) {
	var h wire.Hello
	if err := c.call(ctx, http.MethodPut, wire.PathIdentity, id, &h); err != nil {
		return wire.Hello{}, err
	}
	return h, checkHello(h)
}

// SetAuth gives a guest that has its identity what is its user's own; doing it
// again is harmless. The answer's Auth is what became of it.
func (c *Client) SetAuth(ctx context.Context, a wire.Auth) (wire.Hello, error) {
	var h wire.Hello
	if err := c.call(ctx, http.MethodPut, wire.PathAuth, a, &h); err != nil {
		return wire.Hello{}, err
	}
	return h, checkHello(h)
}

// Power asks for a shutdown; that it was asked for is all that is answered.
func (c *Client) Power(ctx context.Context, action wire.Halt) error {
	return c.call(ctx, http.MethodPost, wire.PathPower, wire.Power{Action: action}, &struct{}{})
}

// Watch calls f with the agent's state, at once and whenever it changes, until
// ctx ends, f fails or the connection is lost.
func (c *Client) Watch(ctx context.Context, f func(wire.Hello) error) error {
	conn, err := c.connected(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := send(ctx, conn, http.MethodGet, wire.PathWatch, nil)
	if err != nil {
		return unavailable("watching the guest's agent: %w", err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for {
		line, err := readLine(r)
		if err != nil {
			return unavailable("watching the guest's agent: %w", err)
		}
		var h wire.Hello
		if err := json.Unmarshal(line, &h); err != nil {
			return fmt.Errorf("the guest's agent told its state in a wrong way: %w", err)
		}
		if err := checkHello(h); err != nil {
			return err
		}
		if err := f(h); err != nil {
			return err
		}
	}
}

// call does a call that may be repeated, again if the connection is lost.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encoding a call of the guest's agent: %w", err)
		}
	}
	for {
		conn, err := c.connected(ctx)
		if err != nil {
			return err
		}
		var answer []byte
		answer, err = exchange(ctx, conn, method, path, body)
		switch {
		case err == nil:
			if err := json.Unmarshal(answer, out); err != nil {
				return fmt.Errorf("the guest's agent answered in a wrong way: %w", err)
			}
			return nil
		case conn.Err() != nil && ctx.Err() == nil:
			c.log.Debug("a call of the guest's agent is repeated", "path", path, "err", err)
			continue
		case fault.KindOf(err) != fault.Internal && ctx.Err() == nil:
			return err
		}
		return unavailable("the guest's agent did not answer: %w", err)
	}
}

// exchange sends a request and reads the whole answer.
func exchange(ctx context.Context, conn *http.ClientConn, method, path string, body []byte) ([]byte, error) {
	resp, err := send(ctx, conn, method, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxLine+1))
	if err != nil {
		return nil, err
	}
	if len(answer) > wire.MaxLine {
		return nil, fmt.Errorf("the answer is longer than %d bytes", wire.MaxLine)
	}
	if resp.StatusCode != http.StatusOK {
		var fail wire.ExecFail
		err := json.Unmarshal(answer, &fail)
		if err != nil && resp.StatusCode == http.StatusNotFound {
			return nil, fault.New(fault.Precondition, "Start the VM anew: its agent comes with each start.",
				"the guest's agent is of an older banger and does not know %s", path)
		}
		if err != nil {
			return nil, fmt.Errorf("the answer is %d and no error", resp.StatusCode)
		}
		return nil, refusal(fail)
	}
	return answer, nil
}

// send sends a request and returns with the answer's header.
func send(ctx context.Context, conn *http.ClientConn, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "") // sends none
	return conn.RoundTrip(req)
}

// readLine reads a line of at most wire.MaxLine bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > wire.MaxLine {
			return nil, fmt.Errorf("the guest's agent sent a line longer than %d bytes", wire.MaxLine)
		}
		line = append(line, part...)
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
