package guest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/stream"
)

// hello is a well-behaved answer.
func hello(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(wire.Hello{Protocol: 1, Phase: wire.PhaseReady, User: "dev", Notes: []string{"all is well."}})
}

// fakeGuest is a client of agents that behave as serve makes them.
func fakeGuest(t *testing.T, cfg guest.Config, serve func(n int32, port wire.Port)) *guest.Client {
	var dials atomic.Int32
	c := guest.New(func(context.Context) (io.ReadWriteCloser, error) {
		host, port := socketpair(t)
		go serve(dials.Add(1), port)
		return host, nil
	}, slog.New(slog.DiscardHandler), cfg)
	t.Cleanup(func() { c.Close() })
	return c
}

// afterSync answers the resynchronisation and hands out the payload.
func afterSync(port wire.Port) net.Conn {
	conn, err := wire.Listen(port, false).Accept()
	if err != nil {
		panic(err)
	}
	return conn
}

func endless(conn io.Writer, piece string) {
	p := []byte(strings.Repeat(piece, 1+4096/len(piece)))
	for {
		if _, err := conn.Write(p); err != nil {
			return
		}
	}
}

// A guest that was mad once is asked again, and its sane self answers.
func TestAMadAgentIsAskedAgain(t *testing.T) {
	settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	headers := []byte{0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88}
	more := append([]byte{0, 0x3f, 0xff, 9, 0, 0, 0, 0, 1}, bytes.Repeat([]byte{0x40, 1, 'a', 1, 'b'}, 0x3fff/5+1)[:0x3fff]...)
	for name, mad := range map[string]func(port wire.Port){
		"garbage before": func(port wire.Port) { port.Write(bytes.Repeat([]byte("garbage\n"), 100)); port.Close() },
		"garbage after":  func(port wire.Port) { endless(afterSync(port), "garbage\n") },
		"it hangs up":    func(port wire.Port) { afterSync(port).Close() },
		"endless headers": func(port wire.Port) {
			conn := afterSync(port)
			io.ReadFull(conn, make([]byte, 24+9)) // the preface; the request comes at some time
			conn.Write(append(settings, headers...))
			endless(conn, string(more))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := guest.Config{Attempt: time.Second, Idle: 200 * time.Millisecond, Silence: 200 * time.Millisecond}
			c := fakeGuest(t, cfg, func(n int32, port wire.Port) {
				if n < 3 {
					mad(port)
				} else {
					serveAgent(port, http.HandlerFunc(hello))
				}
			})
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if h, err := c.Hello(ctx); err != nil || h.User != "dev" {
				t.Errorf("hello is %+v, %v", h, err)
			}
		})
	}
}

func TestAnAgentThatFallsSilentIsGivenUp(t *testing.T) {
	cfg := guest.Config{Idle: 100 * time.Millisecond, Silence: 100 * time.Millisecond}
	c := fakeGuest(t, cfg, func(n int32, port wire.Port) {
		if n == 1 {
			conn := afterSync(port)
			conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
			io.Copy(io.Discard, conn) // reads all, says nothing, and never hangs up
			return
		}
		serveAgent(port, http.HandlerFunc(hello))
	})
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := c.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < cfg.Idle {
		t.Errorf("it answered after %v: the silent one was not asked", took)
	}
}

func TestAnswersAreBoundedAndChecked(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"an endless line":  func(w http.ResponseWriter, _ *http.Request) { endless(w, "x") },
		"a deep structure": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("[", 60000)+"\n") },
		"no JSON":          func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") },
		"an unknown phase": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"protocol":1,"phase":"party"}`+"\n") },
		"a terminal's escape": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"protocol":1,"phase":"ready","user":"\u001b[2J"}`+"\n")
		},
		"many notes": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"protocol":1,"phase":"ready","notes":["`+strings.Repeat(`","`, 40)+`"]}`+"\n")
		},
		"a long report": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"protocol":1,"phase":"ready","auth":{"id":"1","files":["`+strings.Repeat(`","`, 40)+`"]}}`+"\n")
		},
		"an escape in a report": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"protocol":1,"phase":"ready","auth":{"id":"1","files":["\u001b[2J"]}}`+"\n")
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) },
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeGuest(t, guest.Config{}, func(_ int32, port wire.Port) { serveAgent(port, answer) })
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if h, err := c.Hello(ctx); err == nil || ctx.Err() != nil {
				t.Errorf("hello is %+v, %v", h, err)
			}
			if name == "an error" {
				return
			}
			if err := c.Watch(ctx, func(wire.Hello) error { return nil }); err == nil || ctx.Err() != nil {
				t.Errorf("the watch ended in %v", err)
			}
			if _, _, err := c.Exec(ctx, []byte(`{}`), nil); err == nil || ctx.Err() != nil {
				t.Errorf("exec gave %v", err)
			}
		})
	}
}

func TestAnAnswerThatNeverComesIsGivenUp(t *testing.T) {
	c := fakeGuest(t, guest.Config{CallTimeout: 50 * time.Millisecond}, func(_ int32, port wire.Port) {
		serveAgent(port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush() // the header, and no line
			<-r.Context().Done()
		}))
	})
	done := make(chan error, 1)
	go func() {
		_, _, err := c.Exec(context.Background(), []byte(`{}`), nil)
		done <- err
	}()
	select {
	case err := <-done:
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("exec gave %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("exec still waits for its answer")
	}
}

func TestARefusalIsFitToBeShown(t *testing.T) {
	c := fakeGuest(t, guest.Config{}, func(_ int32, port wire.Port) {
		serveAgent(port, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(wire.ExecReply{Error: &wire.ExecFail{Kind: "busy", Message: "\x1b]0;owned\a" + strings.Repeat("x", 5000)}})
		}))
	})
	_, _, err := c.Exec(context.Background(), []byte(`{}`), nil)
	if fault.KindOf(err) != fault.Busy || len(err.Error()) > 1100 || strings.ContainsAny(err.Error(), "\x1b\a") {
		t.Errorf("the refusal is %q", err)
	}
}

func TestAFloodEndsItsOwnStreamOnly(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.PathExec, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.ExecReply{OK: &wire.ExecOK{ID: "x", Window: stream.Window}})
		endless(w, "flood")
	})
	mux.HandleFunc("GET "+wire.PathHello, hello)
	c := fakeGuest(t, guest.Config{}, func(n int32, port wire.Port) {
		if n > 1 {
			t.Error("the connection was given up")
		}
		serveAgent(port, mux)
	})
	s, _, err := c.Exec(context.Background(), []byte(`{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, monitor := socketpair(t) // the client reads nothing
	ended := make(chan error, 1)
	go func() { ended <- guest.Pass(context.Background(), monitor, s) }()
	time.Sleep(50 * time.Millisecond)
	if _, err := c.Hello(context.Background()); err != nil {
		t.Error(err)
	}
	client.Close()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "more than its stream's window") {
		t.Errorf("the stream ended in %v", err)
	}
}

// A guest may answer pings and yet take nothing of a command's input; its
// client's end must be noticed all the same.
func TestAClientThatLeavesIsNoticedWhileItsGuestTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, monitor := net.Pipe()
		agent, guestEnd := net.Pipe() // nobody reads or writes guestEnd
		defer guestEnd.Close()
		ended := make(chan error, 1)
		go func() { ended <- guest.Pass(context.Background(), monitor, agent) }()
		if _, err := client.Write(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the write to the agent is blocked
		left := time.Now()
		client.Close()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("the stream lives on without its client")
		}
		if took := time.Since(left); took > 10*time.Second {
			t.Errorf("it took %s to end the stream", took)
		}
	})
}
