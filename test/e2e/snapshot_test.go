package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/rundir"
)

const rounds = 10

// Firecracker drops every vsock connection at a snapshot without a sign. A
// command's streams go on at their offsets: nothing is lost, nothing twice.
func TestSnapshotRounds(t *testing.T) {
	hostOnly(t)
	e := withBusybox(t) // nothing in the guest takes the stream's time
	e.vm(t, "rounds", "-m", "256M", "--vmm", "firecracker", "--network", "none")
	run := filepath.Join(e.state(), "vms", e.inspect(t, "rounds").ID, "fc")
	api := fcapi.New(func(ctx context.Context) (net.Conn, error) { return rundir.Dial(ctx, run, "api.sock") })
	defer api.Close()

	size := sized(t, "BANGER_TEST_STREAM_MB", 200) << 20 // each way
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Duration(size/100_000)*time.Second)
	defer cancel()
	in := &counted{r: rand.NewChaCha8([32]byte{4}), sum: sha256.New(), left: size}
	out := &counted{sum: sha256.New()}
	cmd := e.command(ctx, "exec", "rounds", "--", "cat")
	var errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	flows := time.Now()
	for i := range rounds {
		for out.n.Load() < int64(i+1)*size/(rounds+1) { // in the middle of it all
			select {
			case err := <-ended:
				t.Fatalf("the command ended in round %d after %d bytes: %v: %s", i+1, out.n.Load(), err, errs.String())
			case <-time.After(5 * time.Millisecond):
			}
		}
		began := time.Now()
		if err := snapshot(ctx, api); err != nil {
			t.Fatalf("round %d: %v", i+1, err)
		}
		before, saved := out.n.Load(), time.Now()
		for out.n.Load() == before && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("round %d: %d bytes after %v, saved in %v, the stream went on after %v", i+1, before,
			began.Sub(flows).Round(time.Millisecond), saved.Sub(began).Round(time.Millisecond), time.Since(saved).Round(time.Millisecond))
	}
	if err := <-ended; err != nil {
		t.Fatalf("the command: %v: %s", err, errs.String())
	}
	if out.n.Load() != size || string(out.sum.Sum(nil)) != string(in.sum.Sum(nil)) {
		t.Errorf("%d bytes went in, %d came out, and not the same", size, out.n.Load())
	}
}

// snapshot pauses, saves and resumes.
func snapshot(ctx context.Context, api *fcapi.Client) error {
	if err := api.Pause(ctx); err != nil {
		return err
	}
	err := api.CreateSnapshot(ctx, fcapi.Snapshot{Type: fcapi.SnapshotFull, State: "state", Memory: "memory"})
	return errors.Join(err, api.Resume(ctx))
}

// counted counts and sums what passes.
type counted struct {
	r    io.Reader
	sum  hash.Hash
	left int64
	n    atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.sum.Write(p[:n])
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.sum.Write(p)
}
