package execs

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

var (
	errLogEnd  = errors.New("the log ends here")
	errLogQuit = errors.New("the reader was told to stop")
	errLogGap  = errors.New("the oldest output was dropped")
)

// outputLog keeps the last size bytes of a stream in an unnamed file, in which
// a byte's place is its offset modulo size.
type outputLog struct {
	size int64
	file *os.File

	mu    sync.Mutex
	start uint64 // of what is kept
	end   uint64
	over  bool
	lost  error         // why the last gap could not be written
	more  chan struct{} // closed at the next change
}

func newOutputLog(dir string, size int64) (*outputLog, error) {
	f, err := os.CreateTemp(dir, "banger-exec-*")
	if err != nil {
		return nil, fmt.Errorf("making a place for a detached command's output: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &outputLog{size: size, file: f, more: make(chan struct{})}, nil
}

// noLog is one that has nothing and takes nothing.
func noLog() *outputLog { return &outputLog{more: make(chan struct{})} }

// Write appends p; it has one caller at a time. It does not fail: a full disk
// must not end the command, so what cannot be written is a gap.
func (l *outputLog) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		part := p[done:min(len(p), done+int(l.size)/4)]
		l.mu.Lock()
		end := l.end + uint64(len(part))
		if keep := uint64(l.size); end > keep && end-keep > l.start {
			l.start = end - keep // before its place is used again
		}
		l.mu.Unlock()
		err := l.at(l.end, part, l.file.WriteAt)
		done += len(part)
		l.change(func() {
			if l.end = end; err != nil {
				l.start, l.lost = end, err
			}
		})
	}
	return len(p), nil
}

// at reads or writes p at an offset, in two pieces where it meets the end of
// the file.
func (l *outputLog) at(off uint64, p []byte, do func([]byte, int64) (int, error)) error {
	pos := int64(off % uint64(l.size))
	first := min(int64(len(p)), l.size-pos)
	if _, err := do(p[:first], pos); err != nil {
		return err
	}
	if first == int64(len(p)) {
		return nil
	}
	_, err := do(p[first:], 0)
	return err
}

// finish says that nothing follows.
func (l *outputLog) finish() { l.change(func() { l.over = true }) }

func (l *outputLog) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.more)
	l.more = make(chan struct{})
}

// resume is where a reader that has off bytes goes on.
func (l *outputLog) resume(off uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if off > l.end {
		return 0, fmt.Errorf("offset %d is after the end of the output, %d", off, l.end)
	}
	return max(off, l.start), nil
}

// read reads what there is at off, and waits where there is nothing yet.
func (l *outputLog) read(p []byte, off uint64, quit <-chan struct{}) (int, error) {
	for {
		l.mu.Lock()
		end, over, more := l.end, l.over, l.more
		l.mu.Unlock()
		if off < end {
			n := min(uint64(len(p)), end-off)
			if err := l.at(off, p[:n], l.file.ReadAt); err != nil {
				return 0, fmt.Errorf("reading a detached command's output: %w", err)
			}
			if at, err := l.resume(off); err != nil || at != off {
				return 0, errLogGap
			}
			return int(n), nil
		}
		if over {
			return 0, errLogEnd
		}
		select {
		case <-more:
		case <-quit:
			return 0, errLogQuit
		}
	}
}

func (l *outputLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
