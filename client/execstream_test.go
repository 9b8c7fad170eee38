package client_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/rpc"
	"github.com/banger-vm/banger/internal/stream"
)

// monitor is a dialer to whatever serve does with a connection.
func monitor(serve func(n int, conn net.Conn)) client.ExecDialer {
	n := 0
	return func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		n++
		go func(n int) {
			defer there.Close()
			serve(n, there)
		}(n)
		return here, nil
	}
}

func request(conn net.Conn) (api.ExecAttachRequest, *bufio.Reader, error) {
	r := bufio.NewReader(conn)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return api.ExecAttachRequest{}, nil, err
	}
	var call rpc.Request
	var req api.ExecAttachRequest
	err = errors.Join(json.Unmarshal(line, &call), json.Unmarshal(call.Params, &req))
	return req, r, err
}

func answer(conn net.Conn, ok api.ExecAttached) {
	result, _ := json.Marshal(ok)
	json.NewEncoder(conn).Encode(rpc.Reply{Version: "2.0", ID: json.RawMessage("1"), Result: result})
}

func refuse(conn net.Conn, kind api.Kind) {
	e := rpc.ToWire(rpc.Code(kind), api.NewError(kind, "refused", "hint"))
	json.NewEncoder(conn).Encode(rpc.Reply{Version: "2.0", ID: json.RawMessage("1"), Error: e})
}

type pipe struct {
	io.Reader
	io.WriteCloser
}

var runTrue = api.ExecSpec{Argv: []string{"true"}}

// The start and the end of an empty stdin are one write, and nothing more is
// said before the exit.
func TestAShortExecIsOneWrite(t *testing.T) {
	var first []byte
	dial := monitor(func(_ int, conn net.Conn) {
		buf := make([]byte, 64<<10)
		n, err := conn.Read(buf) // of a net.Pipe: one write
		if err != nil {
			t.Error(err)
			return
		}
		first = buf[:n]
		answer(conn, api.ExecAttached{ID: "some-id-some-id-", Window: stream.Window})
		agent := stream.NewAgent(stream.Hooks{})
		agent.Sender(stream.Stdout).Close()
		agent.Sender(stream.Stderr).Close()
		agent.SetExit([]byte(`{"code":3}`))
		if err := agent.Serve(conn); err != nil || !agent.Finished() {
			t.Errorf("the exit was not confirmed: %v", err)
		}
	})
	x, err := client.StartExec(t.Context(), dial, "some-id-some-id-", runTrue, client.ExecConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := x.Wait(); err != nil || exit.Code != 3 {
		t.Errorf("the exit is %+v, %v", exit, err)
	}
	line, rest, _ := bytes.Cut(first, []byte("\n"))
	f, err := stream.NewReader(bytes.NewReader(rest)).Next()
	if !json.Valid(line) || err != nil || f.Type != stream.EOF || f.Stream != stream.Stdin || len(rest) != len(stream.AppendFrame(nil, stream.Frame{})) {
		t.Errorf("the first write is %q", first)
	}
}

func TestPatienceEnds(t *testing.T) {
	for name, serve := range map[string]func(n int, conn net.Conn){
		"it hangs up": func(int, net.Conn) {},
		"it is busy": func(_ int, conn net.Conn) {
			if _, _, err := request(conn); err == nil {
				refuse(conn, api.KindUnavailable)
			}
		},
		"it was there": func(n int, conn net.Conn) {
			if req, _, err := request(conn); err == nil && n == 1 {
				answer(conn, api.ExecAttached{ID: req.ID})
			}
		},
		"it takes and drops": func(_ int, conn net.Conn) {
			if req, _, err := request(conn); err == nil {
				answer(conn, api.ExecAttached{ID: req.ID})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				x, err := client.StartExec(t.Context(), monitor(serve), client.NewExecID(), runTrue, client.ExecConfig{})
				if err == nil {
					_, err = x.Wait()
				}
				took := time.Since(begin)
				if err == nil || !strings.Contains(err.Error(), "1m0s of trying") || took < 50*time.Second || took > 70*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}

func TestPermanentRefusals(t *testing.T) {
	for _, tc := range []struct {
		attached bool
		kind     api.Kind
		message  string
	}{
		{false, api.KindInvalid, "refused"},
		{false, api.KindFailedPrecondition, "refused"},
		{false, api.KindNotFound, "refused"},
		{true, api.KindNotFound, "restarted"},
		{true, api.KindFailedPrecondition, "refused"},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			dial := monitor(func(n int, conn net.Conn) {
				req, _, err := request(conn)
				if err != nil {
					return
				}
				if n == 1 && tc.attached {
					answer(conn, api.ExecAttached{ID: req.ID})
					return
				}
				if (req.Start == nil) != tc.attached {
					t.Errorf("attempt %d: the start is %v", n, req.Start)
				}
				refuse(conn, tc.kind)
			})
			x, err := client.StartExec(t.Context(), dial, client.NewExecID(), runTrue, client.ExecConfig{})
			if err == nil {
				_, err = x.Wait()
			}
			var e *api.Error
			if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(e.Message, tc.message) {
				t.Errorf("%+v: the error is %v", tc, err)
			}
			if time.Since(begin) > time.Second {
				t.Errorf("%+v: it took %v", tc, time.Since(begin))
			}
		})
	}
}

// Frames of a later version are not guessed at.
func TestLaterFrames(t *testing.T) {
	dials := 0
	dial := monitor(func(n int, conn net.Conn) {
		dials = n
		if req, _, err := request(conn); err == nil {
			answer(conn, api.ExecAttached{ID: req.ID, Window: stream.Window, Frames: stream.Version + 1})
		}
	})
	_, err := client.StartExec(t.Context(), dial, client.NewExecID(), runTrue, client.ExecConfig{})
	var e *api.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "speaks version 2 of the stream's frames, this program up to 1") || e.Hint == "" {
		t.Error(err)
	}
	if dials != 1 {
		t.Errorf("it tried %d times", dials)
	}
}

// What a guest sends ends its exec, nothing else.
func TestHostileGuests(t *testing.T) {
	frame := func(f stream.Frame) []byte { return stream.AppendFrame(nil, f) }
	eofs := append(frame(stream.Frame{Type: stream.EOF, Stream: stream.Stdout}), frame(stream.Frame{Type: stream.EOF, Stream: stream.Stderr})...)
	for name, tc := range map[string]struct {
		reply string
		after []byte
	}{
		"no JSON":            {reply: "hello"},
		"an endless line":    {reply: strings.Repeat("x", 100<<10)},
		"another's reply":    {reply: `{"result":{"id":"another"}}`},
		"stdin it never got": {reply: `{"result":{"id":"ID","stdin_offset":5}}`},
		"a gap":              {after: frame(stream.Frame{Type: stream.Data, Stream: stream.Stdout, Offset: 9, Payload: []byte("x")})},
		"garbage":            {after: bytes.Repeat([]byte("garbage"), 100)},
		"an early exit":      {after: frame(stream.Frame{Type: stream.Exit, Stream: stream.Result, Payload: []byte("{}")})},
		"a broken exit":      {after: append(bytes.Clone(eofs), frame(stream.Frame{Type: stream.Exit, Stream: stream.Result, Payload: []byte("{")})...)},
		"an impossible exit": {after: append(bytes.Clone(eofs), frame(stream.Frame{Type: stream.Exit, Stream: stream.Result, Payload: []byte(`{"code":4711}`)})...)},
	} {
		t.Run(name, func(t *testing.T) {
			dial := monitor(func(_ int, conn net.Conn) {
				req, r, err := request(conn)
				if err != nil {
					return
				}
				reply := tc.reply
				if reply == "" {
					reply = `{"result":{"id":"ID"}}`
				}
				go io.Copy(io.Discard, r)
				io.WriteString(conn, strings.ReplaceAll(reply, "ID", req.ID)+"\n")
				conn.Write(tc.after)
				time.Sleep(100 * time.Millisecond)
			})
			begin := time.Now()
			x, err := client.StartExec(t.Context(), dial, client.NewExecID(), runTrue, client.ExecConfig{})
			if err == nil {
				_, err = x.Wait()
			}
			if err == nil || time.Since(begin) > 10*time.Second {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		})
	}
}

func TestAnExitsTextIsFitToBeShown(t *testing.T) {
	dial := monitor(func(_ int, conn net.Conn) {
		req, r, err := request(conn)
		if err != nil {
			return
		}
		answer(conn, api.ExecAttached{ID: req.ID})
		agent := stream.NewAgent(stream.Hooks{})
		agent.Sender(stream.Stdout).Close()
		agent.Sender(stream.Stderr).Close()
		agent.SetExit([]byte(`{"code":127,"error":"\u001b]0;owned\u0007 text"}`))
		agent.Serve(pipe{r, conn})
	})
	x, err := client.StartExec(t.Context(), dial, client.NewExecID(), runTrue, client.ExecConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := x.Wait(); err != nil || exit.Code != 127 || exit.Error != "?]0;owned? text" {
		t.Errorf("the exit is %+v, %v", exit, err)
	}
}

func TestCloseLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan struct{})
		dial := monitor(func(_ int, conn net.Conn) {
			req, r, err := request(conn)
			if err != nil {
				return
			}
			answer(conn, api.ExecAttached{ID: req.ID})
			io.Copy(io.Discard, r)
			close(left)
		})
		x, err := client.StartExec(t.Context(), dial, client.NewExecID(), runTrue, client.ExecConfig{})
		if err != nil {
			t.Fatal(err)
		}
		x.Close()
		<-left
		if _, err := x.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended in %v", err)
		}
	})
}
