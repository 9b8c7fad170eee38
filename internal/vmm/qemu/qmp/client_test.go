package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}` + "\n"

// server plays QEMU: it greets, then answers each command.
func server(conn net.Conn, answer func(name string, id uint64) string) {
	io.WriteString(conn, greeting)
	for in := bufio.NewScanner(conn); in.Scan(); {
		var c command
		if json.Unmarshal(in.Bytes(), &c) != nil {
			return
		}
		reply := fmt.Sprintf(`{"return": {}, "id": %d}`, c.ID)
		if c.Execute != "qmp_capabilities" {
			reply = answer(c.Execute, c.ID)
		}
		if _, err := io.WriteString(conn, reply+"\n"); err != nil {
			return
		}
	}
}

func connect(t *testing.T, onEvent func(Event), answer func(string, uint64) string) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	go server(theirs, answer)
	c, err := New(t.Context(), ours, onEvent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); theirs.Close() })
	return c
}

func TestExecute(t *testing.T) {
	c := connect(t, nil, func(name string, id uint64) string {
		if name == "bad" {
			return fmt.Sprintf(`{"id": %d, "error": {"class": "GenericError", "desc": "no such thing"}}`, id)
		}
		return fmt.Sprintf(`{"return": {"status": "running"}, "id": %d}`, id)
	})
	if c.Version().String() != "7.2.22" {
		t.Errorf("version %v", c.Version())
	}
	var out struct{ Status string }
	if err := c.Execute(t.Context(), "query-status", nil, &out); err != nil || out.Status != "running" {
		t.Errorf("Execute = %+v, %v", out, err)
	}
	err := c.Execute(t.Context(), "bad", nil, nil)
	var refused *Error
	if !errors.As(err, &refused) || err.Error() != "QEMU refused bad: no such thing" {
		t.Errorf("Execute = %v", err)
	}
}

func TestRepliesFindTheirCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() { // answers two commands in the wrong order, an event between
			in := bufio.NewScanner(theirs)
			io.WriteString(theirs, greeting)
			var ids []uint64
			for in.Scan() {
				var c command
				if err := json.Unmarshal(in.Bytes(), &c); err != nil {
					t.Error(err)
				}
				if c.Execute == "qmp_capabilities" {
					fmt.Fprintf(theirs, `{"return": {}, "id": %d}`+"\n", c.ID)
					continue
				}
				if ids = append(ids, c.ID); len(ids) == 2 {
					fmt.Fprintf(theirs, `{"return": %d, "id": %d}`+"\n", ids[1], ids[1])
					fmt.Fprintln(theirs, `{"event": "STOP", "timestamp": {"seconds": 5, "microseconds": 7}}`)
					fmt.Fprintln(theirs, `{"return": 0, "id": 12345}`) // nobody's
					fmt.Fprintf(theirs, `{"return": %d, "id": %d}`+"\n", ids[0], ids[0])
				}
			}
		}()
		events := make(chan Event, 1)
		c, err := New(t.Context(), ours, func(e Event) { events <- e })
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		got := make([]uint64, 2)
		for i := range got {
			wg.Go(func() {
				if err := c.Execute(t.Context(), "x", nil, &got[i]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got[0]+got[1] != 2+3 || got[0] == got[1] {
			t.Errorf("got the replies %v", got)
		}
		if e := <-events; e.Name != "STOP" || e.At.UnixMicro() != 5_000_007 {
			t.Errorf("event %+v", e)
		}
		c.Close()
		theirs.Close()
		if err := c.Execute(t.Context(), "x", nil, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Execute after Close = %v", err)
		}
	})
}

func TestSilenceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := New(ctx, ours, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("New without a greeting = %v", err)
		}
		theirs.Close()

		ours, theirs = net.Pipe()
		go server(theirs, func(string, uint64) string { return "" })
		c, err := New(t.Context(), ours, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Execute(ctx, "x", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Execute without a reply = %v", err)
		}
		c.Close()
		theirs.Close()
	})
}

// A QEMU that reads nothing does not hold its callers.
func TestUnreadCommandsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() {
			io.WriteString(theirs, greeting)
			in := bufio.NewReader(theirs)
			in.ReadString('\n')
			fmt.Fprintln(theirs, `{"return": {}, "id": 1}`)
		}()
		c, err := New(t.Context(), ours, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Execute(t.Context(), "x", nil, nil); err == nil {
			t.Error("Execute succeeds unread")
		}
		<-c.Done()
		theirs.Close()
	})
}

func TestGarbageEndsTheConnection(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":        "hello\n",
		"second hello":   greeting,
		"no kind":        "{}\n",
		"two kinds":      `{"return": 1, "id": 1, "event": "X"}` + "\n",
		"reply to none":  `{"return": {}}` + "\n",
		"an error alone": `{"error": {"class": "GenericError", "desc": "JSON parse error"}}` + "\n",
		"an array":       "[1]\n",
		"endless":        strings.Repeat("x", MaxLine+1),
		"deep":           strings.Repeat("[", 20000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				go server(theirs, func(string, uint64) string { return line })
				c, err := New(t.Context(), ours, func(Event) { t.Error("an event") })
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Execute(t.Context(), "x", nil, nil); !errors.Is(err, ErrProtocol) {
					t.Errorf("Execute = %v", err)
				}
				<-c.Done()
				theirs.Close()
			})
		})
	}
}

// FuzzClient: whatever a peer sends, the client neither panics nor hangs.
func FuzzClient(f *testing.F) {
	f.Add([]byte(greeting + `{"return": {}, "id": 1}` + "\n" + `{"event": "STOP", "data": {}}` + "\n"))
	f.Add([]byte(greeting + `{"error": {"class": "C", "desc": "d"}, "id": 1}` + "\n"))
	f.Add([]byte(`{"return": {}, "id": 1}` + "\n" + greeting))
	f.Add([]byte("\n\n" + greeting + `{"return": null, "id": 1}` + "\n" + `{"timestamp": {"seconds": -1}, "event": "E"}`))
	f.Fuzz(func(t *testing.T, sent []byte) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		go func() { theirs.Write(sent); theirs.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := New(ctx, ours, func(e Event) {
			if e.Name == "" {
				t.Error("an event without a name")
			}
		})
		if err == nil {
			var v any
			err = c.Execute(ctx, "query-status", nil, &v)
			c.Close()
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client hangs on %q", sent)
		}
	})
}
