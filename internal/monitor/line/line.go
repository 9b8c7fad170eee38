// Package line is one VM's serial line for those who sit at it: each sees all
// that the guest says, a little of what it said before included, and may type.
package line

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/console"
)

// typeLimit is how long a guest that reads nothing, and whose VMM takes no more
// for it, is waited for before what is typed is dropped.
const typeLimit = 2 * time.Second

// Line is a VM's, over all reboots of its guest.
type Line struct {
	dir  string
	kept *console.Keeper
	// typing is held by who writes to the guest.
	typing chan struct{}
	over   chan struct{} // closed by End
	end    func()

	mu    sync.Mutex // guards input
	input io.Writer  // nil while no VMM runs
}

// New makes a line over what is kept in the VM's directory.
func New(dir string, kept *console.Keeper) *Line {
	l := &Line{dir: dir, kept: kept, typing: make(chan struct{}, 1), over: make(chan struct{})}
	l.end = sync.OnceFunc(func() { close(l.over) })
	return l
}

// Connect has what is typed written to w, until disconnect is called.
func (l *Line) Connect(w io.Writer) (disconnect func()) {
	l.setInput(w)
	return func() { l.setInput(nil) }
}

// End says that the guest will say no more: who has read all leaves.
func (l *Line) End() { l.end() }

func (l *Line) setInput(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.input = w
}

// keyboard is who types until ctx ends.
type keyboard struct {
	ctx context.Context
	*Line
}

// Write types. As on any serial line, what nobody reads is lost.
func (k keyboard) Write(p []byte) (int, error) {
	select {
	case k.typing <- struct{}{}:
		defer func() { <-k.typing }()
	case <-k.ctx.Done():
		return 0, context.Cause(k.ctx)
	}
	k.mu.Lock()
	w := k.input
	k.mu.Unlock()
	if w == nil {
		return len(p), nil
	}
	if d, ok := w.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(typeLimit)) // it may be closed by now
	}
	_, _ = w.Write(p)
	return len(p), nil
}
