package line

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
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/console"
	"github.com/banger-vm/banger/internal/rpc"
)

// rig is a VM's directory with the line of its present monitor.
type rig struct {
	t   *testing.T
	dir string

	mu    sync.Mutex
	kept  *console.Keeper
	line  *Line
	kill  context.CancelFunc
	life  context.Context
	typed strings.Builder
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir()}
	r.begin()
	t.Cleanup(func() { r.kill(); r.kept.Close() })
	return r
}

// begin begins the life of a monitor.
func (r *rig) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, err := console.Keep(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	r.kept, r.line = kept, New(r.dir, kept)
	r.line.Connect(r)
	r.life, r.kill = context.WithCancel(r.t.Context())
}

// replace kills the monitor and begins another one.
func (r *rig) replace() {
	r.kill()
	r.kept.Close()
	r.begin()
}

// Write is the guest, which is typed to.
func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.typed.Write(p)
}

func (r *rig) got() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.typed.String()
}

func (r *rig) say(s string) {
	r.t.Helper()
	if _, err := r.kept.Write([]byte(s)); err != nil {
		r.t.Fatal(err)
	}
}

// dial connects to the present monitor.
func (r *rig) dial(context.Context) (net.Conn, error) {
	r.mu.Lock()
	line, life := r.line, r.life
	r.mu.Unlock()
	host, conn := net.Pipe()
	go func() {
		defer conn.Close()
		in := bufio.NewReader(conn)
		text, err := in.ReadBytes('\n')
		var call rpc.Request
		var req api.ConsoleAttachRequest
		if errors.Join(err, json.Unmarshal(text, &call), rpc.Decode(call.Params, &req)) != nil {
			return
		}
		seat, ok, err := line.Sit(req)
		if err != nil {
			r.t.Error(err)
			return
		}
		if json.NewEncoder(conn).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": ok}) == nil {
			_ = seat.Serve(life, struct {
				io.Reader
				io.WriteCloser
			}{in, conn})
		}
	}()
	return host, nil
}

// seen is what a client sees.
type seen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *seen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *seen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (r *rig) sit(replay uint32, stdin io.Reader) (*client.Exec, *seen) {
	r.t.Helper()
	s := &seen{}
	e, err := client.OpenConsole(r.t.Context(), r.dial, replay, client.ExecConfig{Stdin: stdin, Stdout: s})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { e.Close() })
	return e, s
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestSeveralSitThere(t *testing.T) {
	r := newRig(t)
	r.say("long ago\nbefore\n")
	in1, keys1 := io.Pipe()
	in2, keys2 := io.Pipe()
	one, saw1 := r.sit(7, in1)
	two, saw2 := r.sit(0, in2)
	three, saw3 := r.sit(1<<20, nil)
	r.say("now\n")
	for saw, want := range map[*seen]string{saw1: "before\nnow\n", saw2: "now\n", saw3: "long ago\nbefore\nnow\n"} {
		await(t, fmt.Sprintf("%q", want), func() bool { return saw.all() == want })
	}
	io.WriteString(keys1, "a")
	await(t, "a key", func() bool { return r.got() == "a" })
	io.WriteString(keys2, "b")
	await(t, "another's key", func() bool { return r.got() == "ab" })
	r.say("last words")
	r.line.End()
	for _, e := range []*client.Exec{one, two, three} {
		if exit, err := e.Wait(); err != nil || exit != (api.ExecExit{}) {
			t.Errorf("%+v, %v", exit, err)
		}
	}
	if saw2.all() != "now\nlast words" {
		t.Errorf("%q", saw2.all())
	}
}

// Who sits there sees each byte once, and types none twice, whatever becomes of
// the monitor.
func TestMonitorsComeAndGo(t *testing.T) {
	r := newRig(t)
	in, keys := io.Pipe()
	_, saw := r.sit(0, in)
	var said, typed strings.Builder
	for i := range 20 {
		text := fmt.Sprintf("line %d\n", i)
		said.WriteString(text)
		r.say(text)
		await(t, text, func() bool { return saw.all() == said.String() })
		typed.WriteByte(byte('a' + i))
		keys.Write([]byte{byte('a' + i)})
		await(t, "a key", func() bool { return r.got() == typed.String() })
		r.replace()
	}
	// What the guest says meanwhile is there too.
	r.kill()
	said.WriteString("meanwhile\n")
	r.say("meanwhile\n")
	r.kept.Close()
	r.begin()
	await(t, "what came meanwhile", func() bool { return saw.all() == said.String() })
}

// stuck takes nothing until it is opened.
type stuck struct {
	seen
	open chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.open
	return s.seen.Write(p)
}

// A client that reads nothing holds nobody up, and is told what it missed.
func TestSlowClient(t *testing.T) {
	r := newRig(t)
	slow := &stuck{open: make(chan struct{})}
	e, err := client.OpenConsole(t.Context(), r.dial, 0, client.ExecConfig{Stdout: slow})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, saw := r.sit(0, nil)
	chunk := strings.Repeat("x", 64<<10)
	for i := range 64 { // twice what is kept
		r.say(chunk)
		await(t, "the other client", func() bool { return len(saw.all()) == (i+1)*len(chunk) })
	}
	r.say("the end")
	close(slow.open)
	await(t, "the slow one", func() bool { return strings.HasSuffix(slow.all(), "the end") })
	if n := len(slow.all()); n >= len(saw.all()) {
		t.Errorf("it saw %d bytes, of which not all can have been kept", n)
	}
}

// A guest that reads nothing, and whose VMM takes no more, keeps nobody.
func TestDeafGuest(t *testing.T) {
	r := newRig(t)
	vmm, guest := net.Pipe() // nobody reads
	defer guest.Close()
	disconnect := r.line.Connect(vmm)
	in, keys := io.Pipe()
	_, saw := r.sit(0, in)
	keys.Write([]byte("lost"))
	time.Sleep(typeLimit + 500*time.Millisecond)
	disconnect()
	keys.Write([]byte("lost too")) // there is no VMM: the guest reboots
	await(t, "the line to be free", func() bool { return len(r.line.typing) == 0 })
	time.Sleep(50 * time.Millisecond)
	r.line.Connect(r)
	keys.Write([]byte("heard"))
	await(t, "the next keys", func() bool { return r.got() == "heard" })
	r.say("alive")
	await(t, "its words", func() bool { return saw.all() == "alive" })
}

func TestImpossibleOffsets(t *testing.T) {
	r := newRig(t)
	r.say("some")
	if _, _, err := r.line.Sit(api.ConsoleAttachRequest{StdinOffset: 1 << 63}); err == nil {
		t.Error("more typed than anybody types")
	}
	_, ok, err := r.line.Sit(api.ConsoleAttachRequest{StdoutOffset: 1 << 40})
	if err != nil || ok.StdoutOffset != 4 {
		t.Errorf("%+v, %v", ok, err)
	}
}
