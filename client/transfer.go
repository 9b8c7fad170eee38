package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/archive"
	"github.com/banger-vm/banger/internal/stream"
)

const (
	tellEvery  = 100 * time.Millisecond
	maxSkipped = 10_000   // that are told
	maxNotice  = 32 << 10 // bytes of a line that tells one
)

// transfer is one copy's stream.
type transfer struct {
	*link
	cfg    CopyConfig
	caller context.Context
	ctx    context.Context // ends when the caller's does, and when the copy is over
	stop   context.CancelFunc
	count  archive.Count
	left   atomic.Int64 // files left out

	telling sync.WaitGroup
	skips   sync.Mutex    // held to tell of one
	notices chan struct{} // closed when the guest has told all that it leaves out
	over    chan struct{} // closed when err is set
	err     error         // the guest's, or the stream's
}

// begin asks for a copy and serves its stream from then on. ctx bounds all of
// it; when it ends, the guest is told.
func (f *Files) begin(ctx context.Context, id string, cfg CopyConfig, call func(bool, uint64, uint64) (string, any)) (*transfer, error) {
	l := &link{what: "copy", id: id, dial: f.dial, starts: true, end: stream.NewClient(), call: call}
	t := &transfer{link: l, cfg: cfg, caller: ctx, notices: make(chan struct{}), over: make(chan struct{})}
	conn, err := t.connect(ctx, t.patience(firstPatience))
	if err != nil {
		var refused *api.Error
		if errors.As(err, &refused) { // the last attempt's; there was no copy to lose
			err = refused
		}
		return nil, err
	}
	t.ctx, t.stop = context.WithCancel(ctx)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	go t.run(life, conn)
	go t.readNotices()
	t.telling.Go(t.tell)
	context.AfterFunc(t.ctx, func() {
		t.giveUp() // of a copy that is over: harmless
		select {
		case <-t.over:
		case <-time.After(lettingGo):
		}
		end()
	})
	return t, nil
}

// run keeps the copy connected until its exit is here.
func (t *transfer) run(ctx context.Context, conn net.Conn) {
	defer close(t.over)
	go func() {
		select {
		case <-t.end.Exited():
			<-t.notices
			t.end.Finish() // what came is in the receiver already
		case <-t.over:
		}
	}()
	if err := t.serve(ctx, conn, time.Minute); err != nil {
		t.err = err
		t.end.Close(err)
		return
	}
	<-t.notices
	t.err = decodeFilesExit(t.end.Exit())
}

// giveUp has the guest end the copy, and this end's reads and writes too.
func (t *transfer) giveUp() {
	// Fails only where there is nobody to tell. It goes out before the end of
	// the input, which it keeps from being taken for a whole archive's.
	_ = t.end.Signal(int(syscall.SIGHUP))
	t.end.Receiver(stream.Stdout).Stop()
	t.end.Sender(stream.Stdin).Close()
}

// finish ends a copy whose own end here ended with err, and waits for the
// guest's.
func (t *transfer) finish(err error) (CopyStats, error) {
	if err == nil {
		t.end.Sender(stream.Stdin).Close() // marks the stream's end, which cannot fail
	}
	if err == nil || lost(err) {
		<-t.over
	}
	t.stop() // of a copy that is not over: gives it up
	<-t.over
	t.telling.Wait()
	stats := t.stats()
	if t.cfg.Progress != nil {
		t.cfg.Progress(stats)
	}
	switch {
	case t.err == nil && errors.Is(err, stream.ErrStopped): // the guest has all that it wants
		return stats, nil
	case (err != nil || t.err != nil) && t.caller.Err() != nil:
		return stats, t.caller.Err()
	case err == nil || lost(err) && t.err != nil:
		return stats, t.err
	}
	return stats, err
}

func (t *transfer) stats() CopyStats {
	return CopyStats{Files: t.count.Files.Load(), Bytes: t.count.Bytes.Load(), Skipped: t.left.Load()}
}

// tell tells the progress until the copy is over.
func (t *transfer) tell() {
	if t.cfg.Progress == nil {
		return
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
			t.cfg.Progress(t.stats())
		}
	}
}

// skipped tells of a file that is left out.
func (t *transfer) skipped(s api.FilesSkipped) {
	if n := t.left.Add(1); n > maxSkipped || t.cfg.Skipped == nil {
		return
	}
	t.skips.Lock() // both ends may leave files out at once
	defer t.skips.Unlock()
	t.cfg.Skipped(s)
}

// readNotices reads what the guest leaves out.
func (t *transfer) readNotices() {
	defer close(t.notices)
	in := t.end.Receiver(stream.Stderr)
	lines := bufio.NewScanner(readOnly{in})
	lines.Buffer(nil, maxNotice)
	for lines.Scan() {
		var s api.FilesSkipped
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			s = api.FilesSkipped{Name: "a file", Reason: "the guest told of it in a wrong way"}
		}
		t.skipped(s)
	}
	in.Stop() // one that is too long ends them
}

// readOnly hides a receiver's other methods.
type readOnly struct{ r *stream.Receiver }

func (r readOnly) Read(p []byte) (int, error) { return r.r.Read(p) }

// decodeFilesExit checks what comes from the guest.
func decodeFilesExit(payload []byte) error {
	var exit api.FilesExit
	if err := json.Unmarshal(payload, &exit); err != nil {
		return fmt.Errorf("the guest told the copy's end in a wrong way: %w", err)
	}
	e := exit.Error
	if e == nil {
		return nil
	}
	switch e.Kind {
	case api.KindNotFound, api.KindInvalid, api.KindFailedPrecondition, api.KindCanceled:
	default:
		e.Kind = api.KindInternal
	}
	return api.NewError(e.Kind, plain(e.Message), plain(e.Hint))
}
