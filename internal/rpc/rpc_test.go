package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
)

func TestSocketPaths(t *testing.T) {
	for _, length := range []int{60, 107, 108, 300} {
		dir := t.TempDir()
		for len(dir)+len("/sock") < length {
			dir = filepath.Join(dir, strings.Repeat("d", min(50, length)))
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "sock")
		l, err := Listen(path, 0o660)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		conn, err := Dial(t.Context(), path)
		if err != nil {
			t.Fatalf("path of %d bytes: %v", len(path), err)
		}
		conn.Close()
		if _, err := Listen(path, 0o600); !errors.Is(err, ErrInUse) {
			t.Errorf("a second listener: %v", err)
		}
		l.Close()
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays behind: %v", err)
		}
		if _, err := Dial(t.Context(), path); !errors.Is(err, syscall.ENOENT) || strings.Contains(err.Error(), "/proc/") {
			t.Errorf("dialling nothing: %v", err)
		}
	}
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	first, err := Listen(path, 0o600)
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	// A listener that was replaced leaves its successor's socket alone.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
}

func TestListenKeepsFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, 0o600); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("listening over a file: %v", err)
	}
}

func TestCodes(t *testing.T) {
	seen := map[int]api.Kind{}
	for _, k := range []api.Kind{
		api.KindNotFound, api.KindAlreadyExists, api.KindInvalid, api.KindFailedPrecondition, api.KindBusy,
		api.KindUnavailable, api.KindCanceled, api.KindDeadlineExceeded, api.KindInternal,
	} {
		code := Code(k)
		if other, ok := seen[code]; ok || (code >= -32768 && code <= -32000) {
			t.Errorf("kind %s has the code %d, which is reserved or %s's", k, code, other)
		}
		seen[code] = k
		e := api.Error{Kind: k, Message: "m", Hint: "h", Operation: "o"}
		if got := ToWire(code, &e).API(); *got != e {
			t.Errorf("round trip: %+v", got)
		}
	}
	if got := (&WireError{Code: CodeInvalidParams, Message: "m"}).API(); got.Kind != api.KindInvalid {
		t.Errorf("an error without data: %+v", got)
	}
}

func TestClientAndGarbage(t *testing.T) {
	for _, line := range []string{"garbage\n", "{\"id\":1,\n", "", "{}"} {
		ours, theirs := net.Pipe()
		c := NewClient(ours)
		go func() {
			bufio.NewReader(theirs).ReadString('\n')
			io.WriteString(theirs, line)
			theirs.Close()
		}()
		if err := c.Call(t.Context(), "m", nil, nil); api.KindOf(err) != api.KindUnavailable {
			t.Errorf("after %q: %v", line, err)
		}
		<-c.Lost()
	}
}

// FuzzReadLine compares with splitting the whole input: same lines up to the
// first that is too long, and what follows a line stays readable.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n\n \nrest"), uint16(8))
	f.Add([]byte("0123456789\n"), uint16(9))
	f.Add(bytes.Repeat([]byte("y"), 9000), uint16(8999))
	f.Fuzz(func(t *testing.T, data []byte, limit uint16) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			theirs.Write(data)
			theirs.Close()
		}()
		c := NewLineConn(ours, int(limit))
		for {
			want, rest, whole := bytes.Cut(data, []byte("\n"))
			got, err := c.ReadLine()
			for whole && len(want) <= int(limit) && len(bytes.TrimSpace(want)) == 0 {
				want, rest, whole = bytes.Cut(rest, []byte("\n"))
			}
			switch {
			case len(want) > int(limit):
				if !errors.Is(err, ErrTooLong) {
					t.Fatalf("line of %d bytes with the bound %d: %v", len(want), limit, err)
				}
				return
			case !whole:
				if err == nil {
					t.Fatalf("half a line %q was returned as %q", want, got)
				}
				return
			case err != nil || !bytes.Equal(got, bytes.TrimSpace(want)):
				t.Fatalf("got %q, %v; want %q", got, err, want)
			}
			data = rest
		}
	})
}

// FuzzParseReply compares the short cut with the long way.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":12,"result":{"a":1}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":12,"result":[],"error":{"code":1,"message":"m"}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := parseReply(line)
		var want Reply
		wantErr := json.Unmarshal(line, &want)
		switch {
		case err != nil:
			if wantErr == nil {
				t.Fatalf("refused: %v", err)
			}
		case json.Valid(got.Result) && got.Error == nil && wantErr == nil && want.Error == nil:
			if string(got.ID) != string(want.ID) || string(bytes.TrimSpace(got.Result)) != string(want.Result) {
				t.Fatalf("got %s %s, want %s %s", got.ID, got.Result, want.ID, want.Result)
			}
		case got.Error == nil && len(got.Result) > 0 && json.Valid(got.Result):
			t.Fatalf("%q became a result", line)
		}
	})
}

// hastyConn's peer answers a line and hangs up before its writer goes on.
type hastyConn struct{ net.Conn }

func (c hastyConn) Write(p []byte) (int, error) { return len(p), c.Close() }

func TestLineThatEndsItsConnectionIsWritten(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	if err := NewLineConn(hastyConn{here}, 100).WriteLine([]byte("stop")); err != nil {
		t.Errorf("WriteLine = %v", err)
	}
}
