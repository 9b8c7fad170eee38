package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Log is what was kept when it was opened.
type Log struct{ old, cur segment }

// errMoved says that the files were exchanged while they were opened.
var errMoved = errors.New("the console's files are being exchanged")

// Open opens what is kept in a VM's directory; fs.ErrNotExist if there is no
// such directory. A guest that said nothing yet has an empty Log.
func Open(dir string) (*Log, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		l, err := open(dir)
		if !errors.Is(err, errMoved) || tries == 20 {
			return l, err
		}
		time.Sleep(time.Millisecond)
	}
}

// open opens the files in the order that lets an exchange be noticed: it begins
// with the times (see Keeper.rotate), which are looked at last again.
func open(dir string) (_ *Log, err error) {
	l := &Log{}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	for _, f := range []struct {
		name string
		file **os.File
	}{{timesName, &l.cur.times}, {logName, &l.cur.log}, {logName + older, &l.old.log}, {timesName + older, &l.old.times}} {
		if *f.file, err = openFile(dir, f.name); err != nil {
			return nil, err
		}
	}
	if err := l.unmoved(dir); err != nil {
		return nil, err
	}
	return l, l.place()
}

// unmoved is errMoved where not all files are of one moment.
func (l *Log) unmoved(dir string) error {
	now, err := os.Lstat(filepath.Join(dir, timesName))
	switch {
	case errors.Is(err, fs.ErrNotExist) && l.cur.times == nil:
		if same(l.cur.log, l.old.log) {
			return errMoved
		}
		return nil
	case errors.Is(err, fs.ErrNotExist) || err == nil && l.cur.times == nil:
		return errMoved
	case err != nil:
		return fmt.Errorf("looking at the console's file: %w", err)
	}
	if opened, err := l.cur.times.Stat(); err != nil || !os.SameFile(opened, now) {
		return errors.Join(errMoved, err)
	}
	return nil
}

func same(a, b *os.File) bool {
	if a == nil || b == nil {
		return false
	}
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// place finds the offsets of what was opened.
func (l *Log) place() error {
	var err1, err2 error
	l.cur.size, err1 = length(l.cur.log)
	l.old.size, err2 = length(l.old.log)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	before, known := first(l.old.times)
	base, indexed := first(l.cur.times)
	switch {
	case indexed:
	case l.cur.times == nil && known && l.cur.log != nil: // an exchange was broken off after its first step
		l.cur.times, l.old.times = l.old.times, nil
		base = before
	default: // or before its last one; or they are of a banger that knew no times
		base = before + l.old.size
	}
	l.cur.base, l.old.base = base, max(base-l.old.size, 0)
	return nil
}

// Close closes the files.
func (l *Log) Close() {
	l.cur.close()
	l.old.close()
}

// Begin is the offset of the oldest byte that is kept.
func (l *Log) Begin() int64 { return l.old.base }

// End is the number of bytes that the guest has said so far.
func (l *Log) End() int64 { return l.cur.end() }

// ReadAt reads from an offset between Begin and End on; io.EOF at the end.
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for _, s := range []segment{l.old, l.cur} {
		if off < s.base || off >= s.end() || n == len(p) {
			continue
		}
		part := p[n:]
		part = part[:min(int64(len(part)), s.end()-off)]
		got, err := s.log.ReadAt(part, off-s.base)
		n, off = n+got, off+int64(got)
		if err != nil && !errors.Is(err, io.EOF) {
			return n, fmt.Errorf("reading the console's file: %w", err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Times calls f with the times of the bytes that are kept, in their order.
func (l *Log) Times(f func(Stamp) bool) error {
	for _, s := range []segment{l.old, l.cur} {
		if s.times == nil {
			continue
		}
		r := bufio.NewReader(io.NewSectionReader(s.times, 0, 2*maxTimes))
		for {
			line, err := r.ReadSlice('\n') // a longer one is none of ours
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return fmt.Errorf("reading the console's times: %w", err)
			}
			if stamp, ok := parseStamp(string(line)); ok && stamp.Offset < s.end() && !f(stamp) {
				return nil
			}
		}
	}
	return nil
}

// Since is where the line begins with which the guest went on at t, give or
// take the second that the times are apart.
func (l *Log) Since(t time.Time) (int64, error) {
	off := l.End()
	err := l.Times(func(s Stamp) bool {
		if s.Time.Add(grain).After(t) {
			off = s.Offset
			return false
		}
		return true
	})
	if err != nil || off == l.End() {
		return off, err
	}
	return l.LineStart(max(off, l.Begin()))
}

// maxLine is how far back a line's beginning is looked for.
const maxLine = 4 << 10

// LineStart is where the line of the byte at off begins; off itself where that
// is too far back.
func (l *Log) LineStart(off int64) (int64, error) {
	buf := make([]byte, min(off-l.Begin(), maxLine))
	if _, err := l.ReadAt(buf, off-int64(len(buf))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	i := bytes.LastIndexByte(buf, '\n')
	if i < 0 && int64(len(buf)) < off-l.Begin() { // too long to be one
		return off, nil
	}
	return off - int64(len(buf)) + int64(i) + 1, nil
}

// Tail is where the last lines begin.
func (l *Log) Tail(lines int) (int64, error) {
	if lines <= 0 {
		return l.End(), nil
	}
	buf := make([]byte, 32<<10)
	for end := l.End(); end > l.Begin(); {
		part := buf[:min(int64(len(buf)), end-l.Begin())]
		start := end - int64(len(part))
		if _, err := l.ReadAt(part, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] != '\n' || start+int64(i)+1 == l.End() { // the end of the last line begins none
				continue
			}
			if lines--; lines == 0 {
				return start + int64(i) + 1, nil
			}
		}
		end = start
	}
	return l.Begin(), nil
}
