package fcapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm"
)

// serve answers with h.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	c := New(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
	})
	t.Cleanup(c.Close)
	return c
}

func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"no JSON":        {200, "<html>", "is not understood"},
		"another state":  {200, `{"state":"Dancing"}`, `the state of Firecracker is not known: "Dancing"`},
		"too long":       {200, `{"state":"` + strings.Repeat("x", maxReply) + `"}`, "longer than 65536 bytes"},
		"a refusal":      {400, `{"fault_message":"no \u001b[31mway\nat all"}`, "Firecracker refused GET /: at all"},
		"without reason": {500, "oops", "Firecracker refused GET / with status 500"},
		"no content":     {204, "", "with status 204"},
	} {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		if _, err := client.State(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("y", 1000))
		}
	})
	if _, err := client.State(t.Context()); err == nil {
		t.Error("100 kB of headers are taken")
	}
}

func TestTheContextEndsACall(t *testing.T) {
	client := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if err := client.Pause(ctx); !errors.Is(err, why) {
		t.Errorf("Pause = %v", err)
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]Version{
		"1.12.1": {1, 12, 1}, "v1.16.0": {1, 16, 0}, "1.17.0-dev": {1, 17, 0}, "2.0.0-abc.d": {2, 0, 0},
	} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "1.2", "1.2.x", "1.2.3 ", "1.2.3\n", "99999.1.1", "1.2.3-" + strings.Repeat("x", 50)} {
		if got, err := ParseVersion(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	order := []Version{{0, 99, 9}, {1, 12, 0}, {1, 12, 1}, {1, 13, 0}, {2, 0, 0}}
	for i, a := range order {
		for j, b := range order {
			if a.Less(b) != (i < j) {
				t.Errorf("%v < %v is %v", a, b, a.Less(b))
			}
		}
	}
}

// What a version lacks is refused by name, before it is asked for.
func TestFeaturesAreRefusedByName(t *testing.T) {
	version, loads := "1.12.1", 0
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			fmt.Fprintf(w, `{"firecracker_version":%q}`, version)
			return
		}
		loads++
		w.WriteHeader(http.StatusNoContent)
	}
	load := Load{State: "s", Memory: MemoryBackend{Type: "File", Path: "m"}, Vsock: &VsockOverride{"v"}, ClockRealtime: true}
	err := serve(t, handler).LoadSnapshot(t.Context(), load)
	if !errors.Is(err, vmm.ErrUnsupported) || loads != 0 ||
		!strings.Contains(err.Error(), "vsock_override of snapshot/load needs Firecracker 1.16.0 or later, this is 1.12.1") ||
		!strings.Contains(err.Error(), "clock_realtime") {
		t.Errorf("LoadSnapshot = %v after %d loads", err, loads)
	}
	load.Vsock, load.ClockRealtime, load.Networks = nil, false, []NetOverride{{"eth0", "tap0"}}
	if err := serve(t, handler).LoadSnapshot(t.Context(), load); err != nil {
		t.Error(err)
	}
	version, load.ClockRealtime = "1.16.0", true
	if err := serve(t, handler).LoadSnapshot(t.Context(), load); err != nil || loads != 2 {
		t.Errorf("LoadSnapshot = %v after %d loads", err, loads)
	}
}

// Whatever comes back on the socket, a call ends with a state that there is or
// with an error of bounded length.
func FuzzReplies(f *testing.F) {
	for _, reply := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"state\":\"Running\"}",
		"HTTP/1.1 400 Bad\r\nContent-Length: 25\r\n\r\n{\"fault_message\":\"no\\u001b\"}",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}   \r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{",
		"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	} {
		f.Add([]byte(reply))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		c := New(func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				_, _ = theirs.Read(make([]byte, 4096))
				_, _ = theirs.Write(reply)
			}()
			return ours, nil
		})
		defer c.Close()
		state, err := c.State(t.Context())
		if err == nil && state != StateNotStarted && state != StateRunning && state != StatePaused {
			t.Errorf("the state %q is taken", state)
		}
		if err != nil && len(err.Error()) > 2*maxReply {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if v, err := c.Version(t.Context()); err == nil && v == (Version{}) {
			t.Error("no version is taken for one")
		}
		var refused *Error
		if err := c.Pause(t.Context()); errors.As(err, &refused) && strings.ContainsFunc(refused.Message, func(r rune) bool { return r < ' ' }) {
			t.Errorf("its message is shown as %q", refused.Message)
		}
	})
}
