package units

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stream is a command in a guest that counts, and whoever listens to it.
type stream struct {
	t    *testing.T
	cmd  *exec.Cmd
	last atomic.Int64
	gap  atomic.Pointer[string] // what came instead of the next number
	done chan error
	end  func()
}

// count starts one. Who listens is in none of the user's sessions.
func count(t *testing.T, vm string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{t: t, done: make(chan error, 1)}
	s.cmd = command(ctx, "exec banger exec "+vm+" -- sh -c 'i=1; while :; do echo $i; i=$((i+1)); sleep 0.1; done'")
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	s.cmd.Stderr = &stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if next := fmt.Sprint(s.last.Load() + 1); lines.Text() != next && s.gap.Load() == nil {
				said := fmt.Sprintf("%q instead of %s", lines.Text(), next)
				s.gap.Store(&said)
			}
			s.last.Add(1)
		}
		err := s.cmd.Wait()
		s.done <- fmt.Errorf("%w: %s", err, stderr.String())
	}()
	s.end = sync.OnceFunc(func() {
		cancel()
		<-s.done
	})
	t.Cleanup(s.end)
	return s
}

// goesOn checks that numbers come, each once.
func (s *stream) goesOn(after string) {
	s.t.Helper()
	begin, from := time.Now(), s.last.Load()
	await(s.t, "the stream to go on after "+after, func() bool {
		select {
		case err := <-s.done:
			s.done <- err // for end
			s.t.Fatalf("after %s the stream ended: %v", after, err)
		default:
		}
		return s.last.Load() >= from+5
	})
	if gap := s.gap.Load(); gap != nil {
		s.t.Fatalf("after %s the stream had %s", after, *gap)
	}
	s.t.Logf("%s: five more numbers after %v", after, time.Since(begin).Round(time.Millisecond))
}
