package e2e

import (
	"encoding/json"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/rpc"
)

// stall opens n commands whose output nobody reads and n that read no input.
func (e *env) stall(t *testing.T, vm string, n int) {
	t.Helper()
	c := client.New(client.Config{Socket: e.socket()})
	t.Cleanup(func() { c.Close() })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	gate := make(chan struct{}, 16)
	for i := range 2 * n {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			spec := api.ExecSpec{Argv: []string{"yes"}}
			cfg := client.ExecConfig{Stdout: blocked{stop}, Stderr: io.Discard}
			if i%2 == 0 {
				spec.Argv = []string{"sleep", "600"}
				cfg = client.ExecConfig{Stdin: endless{}, Stdout: io.Discard, Stderr: io.Discard}
			}
			x, err := c.Exec(t.Context(), vm, spec, cfg)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { x.Close() })
		})
	}
	wg.Wait()
	t.Cleanup(func() { close(stop) }) // before the streams are closed
	time.Sleep(time.Second)           // let windows fill
}

func (e *env) socket() string { return filepath.Join(e.dir, "run", "bangerd.sock") }

// blocked takes nothing until it is told to stop.
type blocked struct{ stop chan struct{} }

func (b blocked) Write(p []byte) (int, error) {
	<-b.stop
	return 0, io.ErrClosedPipe
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestWaitingCallsHoldUpNoList(t *testing.T) {
	e := common(t)
	e.ok(t, "ls")
	conn, err := rpc.Dial(t.Context(), e.socket())
	if err != nil {
		t.Fatal(err)
	}
	c := rpc.NewClient(conn)
	t.Cleanup(func() { c.Close() })
	for range 100 {
		go func() {
			_ = c.Call(t.Context(), api.MethodEventWatch, api.EventWatchRequest{Since: 1 << 40, WaitMS: 50_000}, new(json.RawMessage))
		}()
	}
	time.Sleep(200 * time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- c.Call(t.Context(), api.MethodVMList, api.VMListRequest{All: true}, new(api.VMList)) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a list behind 100 waiting calls on one connection had no answer in 10 s")
	}
}
