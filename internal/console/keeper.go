package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// tailBytes bounds what Tail returns.
const tailBytes = 4 << 10

// Keeper writes the files. There is one for a VM.
type Keeper struct {
	dir string

	mu         sync.Mutex // guards the following; held across writes of the files, which are the leaf here
	log, times *os.File
	base, size int64
	listed     int64 // bytes of times
	last       time.Time
	changed    chan struct{} // closed and replaced with every change
	closed     bool
}

// Keep opens the files in a VM's directory and goes on where they end.
func Keep(dir string) (*Keeper, error) {
	k := &Keeper{dir: dir, changed: make(chan struct{})}
	l, err := Open(dir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if base, ok := first(l.cur.times); ok && exists(k.path(timesName)) {
		return k, k.open(base)
	}
	if exists(k.path(timesName + older)) { // an exchange was broken off
		if err := rename(k.path(logName), k.path(logName+older)); err != nil {
			return nil, err
		}
		return k, k.begin(l.End())
	}
	return k, k.begin(l.cur.base)
}

func (k *Keeper) path(name string) string { return filepath.Join(k.dir, name) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("putting the console's older file aside: %w", err)
	}
	return nil
}

// begin makes the times of a log whose first byte has an offset.
func (k *Keeper) begin(base int64) error {
	path := k.path(timesName)
	line := Stamp{base, time.Now()}.line()
	if err := os.WriteFile(path+".new", []byte(line), 0o600); err != nil {
		return fmt.Errorf("beginning the console's times: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("beginning the console's times: %w", err)
	}
	return k.open(base)
}

// open opens the files to go on writing them.
func (k *Keeper) open(base int64) (err error) {
	for name, file := range map[string]**os.File{logName: &k.log, timesName: &k.times} {
		if *file, err = os.OpenFile(k.path(name), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
			return fmt.Errorf("opening the console's file: %w", err)
		}
	}
	var err1, err2 error
	k.size, err1 = length(k.log)
	k.listed, err2 = length(k.times)
	k.base, k.last = base, time.Time{}
	return errors.Join(err1, err2, k.cutLine())
}

// cutLine takes off what a killed writer left of a line.
func (k *Keeper) cutLine() error {
	buf := make([]byte, min(k.listed, 64))
	if _, err := k.times.ReadAt(buf, k.listed-int64(len(buf))); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the console's times: %w", err)
	}
	k.listed -= int64(len(buf)) - int64(strings.LastIndexByte(string(buf), '\n')+1)
	return k.times.Truncate(k.listed)
}

// Write appends what the guest says, and drops the older half of all when the
// bound is reached.
func (k *Keeper) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return 0, os.ErrClosed
	}
	if k.size > 0 && (k.size+int64(len(p)) > maxLog || k.listed > maxTimes) {
		if err := k.rotate(); err != nil {
			return 0, err
		}
	}
	now := time.Now()
	if now.Sub(k.last) >= grain || now.Before(k.last) {
		k.list(Stamp{k.base + k.size, now})
	}
	n, err := k.log.Write(p)
	k.size += int64(n)
	k.tell()
	return n, err
}

// list adds a time. One that cannot be written is missing.
func (k *Keeper) list(s Stamp) {
	n, err := k.times.WriteString(s.line())
	if err != nil {
		_ = k.times.Truncate(k.listed) // readers pass over what is no line
		return
	}
	k.listed += int64(n)
	k.last = s.Time
}

func (k *Keeper) tell() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// Rotate begins a new file, so that a boot's words are not taken for the next one's.
func (k *Keeper) Rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.size == 0 {
		return nil
	}
	return k.rotate()
}

// rotate exchanges the files. Readers and a later Keeper tell from what is
// there how far it came: times first, then the log; new times, then a new log.
func (k *Keeper) rotate() error {
	end := k.base + k.size
	err := errors.Join(
		rename(k.path(timesName), k.path(timesName+older)),
		rename(k.path(logName), k.path(logName+older)),
		k.log.Close(), k.times.Close(),
	)
	return errors.Join(err, k.begin(end))
}

// CopyFrom takes all of a console to its end. A full disk must not stop the
// guest at its serial port: what cannot be written is dropped.
func (k *Keeper) CopyFrom(r io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = k.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// End is the offset of the next byte, and what is closed when there is one.
func (k *Keeper) End() (int64, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.base + k.size, k.changed
}

// Tail returns the last lines, at most 4 KiB, of what came after mark.
func (k *Keeper) Tail(mark int64) string {
	l, err := Open(k.dir)
	if err != nil {
		return ""
	}
	defer l.Close()
	from := max(l.End()-tailBytes, mark, l.Begin())
	buf := make([]byte, max(l.End()-from, 0))
	n, err := l.ReadAt(buf, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	text := strings.ReplaceAll(string(buf[:n]), "\r", "")
	if _, after, ok := strings.Cut(text, "\n"); ok && from > mark {
		text = after // the first line is cut
	}
	return strings.TrimSpace(text)
}

// Close closes the files; what is said later is dropped.
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	k.tell()
	return errors.Join(k.log.Close(), k.times.Close())
}
