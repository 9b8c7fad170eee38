package guest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/stream"
)

// Exec starts a command, or attaches to one: request is an
// api.ExecAttachRequest in JSON, which the guest checks, and early the frames
// that came along with it. The stream carries the frames that follow. ctx
// bounds the call, not the stream.
func (c *Client) Exec(ctx context.Context, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error) {
	if len(request) > wire.MaxExec {
		return nil, nil, fault.New(fault.Invalid, "Shorten its arguments or its environment.",
			"the command's request is longer than %d bytes", wire.MaxExec)
	}
	return c.attach(ctx, wire.PathExec, request, early)
}

// Dial opens a connection to an address in the guest, or attaches to one:
// request is an api.DialOpenRequest in JSON, the rest is as with Exec.
func (c *Client) Dial(ctx context.Context, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error) {
	if len(request) > wire.MaxLine {
		return nil, nil, fault.New(fault.Invalid, "", "the request is longer than %d bytes", wire.MaxLine)
	}
	return c.attach(ctx, wire.PathDial, request, early)
}

// FilesPut puts files into the guest, or attaches to that: request is an
// api.FilesPutRequest in JSON, the rest is as with Exec.
func (c *Client) FilesPut(ctx context.Context, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error) {
	return c.files(ctx, wire.PathFilesPut, request, early)
}

// FilesGet gets files from the guest, or attaches to that: request is an
// api.FilesGetRequest in JSON, the rest is as with Exec.
func (c *Client) FilesGet(ctx context.Context, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error) {
	return c.files(ctx, wire.PathFilesGet, request, early)
}

func (c *Client) files(ctx context.Context, path string, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error) {
	if len(request) > wire.MaxExec {
		return nil, nil, fault.New(fault.Invalid, "Copy fewer at once.", "the names of the files are longer than %d bytes", wire.MaxExec)
	}
	return c.attach(ctx, path, request, early)
}

func (c *Client) attach(ctx context.Context, path string, request, early []byte) (io.ReadWriteCloser, *api.ExecAttached, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	conn, err := c.connected(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, opened, err := openStream(ctx, conn, path, request, early)
	if err != nil {
		return nil, nil, unavailable("the guest's agent did not take the call: %w", err)
	}
	attached, err := s.attached()
	if !opened() && err == nil { // at this very moment
		err = unavailable("the guest's agent did not answer: %w", context.Cause(ctx))
	}
	if err != nil {
		s.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return s, attached, nil
}

// agentStream is one call of the agent as a connection.
type agentStream struct {
	resp   *http.Response
	r      *bufio.Reader
	w      *io.PipeWriter
	cancel context.CancelFunc
}

// openStream begins a call whose first line is request. Its body goes on after
// ctx has ended, if opened was called before that.
func openStream(ctx context.Context, conn *http.ClientConn, path string, request, early []byte) (_ *agentStream, opened func() bool, err error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	body, w := io.Pipe()
	opened = context.AfterFunc(ctx, func() {
		cancel()
		w.CloseWithError(context.Cause(ctx)) // HTTP/2 looks at the context between two reads of the body
	})
	first := slices.Concat(request, []byte("\n"), early) // one write, one waking of the guest
	go func() {
		// Fails only when the call does, which tells it.
		_, _ = w.Write(first)
	}()
	resp, err := send(life, conn, http.MethodPost, path, body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.Join(fmt.Errorf("the answer is %d", resp.StatusCode), resp.Body.Close())
	}
	if err != nil {
		opened()
		cancel()
		w.CloseWithError(err)
		return nil, nil, err
	}
	return &agentStream{resp: resp, r: bufio.NewReader(resp.Body), w: w, cancel: cancel}, opened, nil
}

// attached reads the reply.
func (s *agentStream) attached() (*api.ExecAttached, error) {
	line, err := readLine(s.r)
	if err != nil {
		return nil, unavailable("the guest's agent did not answer: %w", err)
	}
	var reply wire.ExecReply
	if err := json.Unmarshal(line, &reply); err != nil {
		return nil, fmt.Errorf("the guest's agent answered in a wrong way: %w", err)
	}
	switch {
	case reply.Error != nil:
		return nil, refusal(*reply.Error)
	case reply.OK == nil || reply.OK.Window != stream.Window || !printable(reply.OK.ID, maxWord):
		return nil, errors.New("the guest's agent answered in a wrong way: the reply is empty or impossible")
	}
	ok := api.ExecAttached(*reply.OK)
	return &ok, nil
}

func (s *agentStream) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *agentStream) Write(p []byte) (int, error) { return s.w.Write(p) }

// CloseWrite ends the input.
func (s *agentStream) CloseWrite() error { return s.w.Close() }

// Close ends the call.
func (s *agentStream) Close() error {
	s.cancel()
	s.w.CloseWithError(io.ErrClosedPipe)
	return s.resp.Body.Close()
}
