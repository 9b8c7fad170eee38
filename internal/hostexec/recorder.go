package hostexec

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// Recorder is a Runner for tests: it runs nothing and remembers what it was
// asked to run.
type Recorder struct {
	// Reply answers a command; nil succeeds with no output.
	Reply func(ctx context.Context, cmd Cmd) (Result, error)

	mu   sync.Mutex
	cmds []Cmd
}

var _ Runner = (*Recorder)(nil)

// Run records cmd and answers with Reply.
func (r *Recorder) Run(ctx context.Context, cmd Cmd) (Result, error) {
	r.mu.Lock()
	r.cmds = append(r.cmds, cmd)
	r.mu.Unlock()
	if r.Reply == nil {
		return Result{}, nil
	}
	res, err := r.Reply(ctx, cmd)
	if cmd.Stdout != nil && len(res.Stdout) > 0 {
		if _, werr := cmd.Stdout.Write(res.Stdout); err == nil {
			err = werr
		}
		res.Stdout = nil
	}
	return res, err
}

// Commands are the commands so far.
func (r *Recorder) Commands() []Cmd {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.cmds)
}

// String is the command lines so far, one a line, for golden files.
func (r *Recorder) String() string {
	var b strings.Builder
	for _, c := range r.Commands() {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}
