package console

import (
	"context"
	"errors"
	"io"
	"time"
)

const (
	maxPart   = 64 << 10 // bytes of an answer
	maxStamps = 2048     // times of an answer
	lookAgain = 100 * time.Millisecond
)

// Query says which part of a console is wanted.
type Query struct {
	// Offset is where to begin; without one Since and Tail say it: the last
	// lines (nil: all) of those since then (zero: all).
	Offset *int64
	Since  time.Time
	Tail   *int
	// Wait is how long more is waited for where there is nothing yet.
	Wait time.Duration
}

// Part is a part of a console.
type Part struct {
	// Offset is that of the first byte: greater than asked for where what was
	// asked for is no longer kept.
	Offset int64
	Data   []byte // bounded; more may follow
	End    int64  // the number of bytes that the guest had said
	Times  []Stamp
}

// Read reads a part of what is kept in a VM's directory, whether the VM runs
// or not; fs.ErrNotExist if the directory is gone.
func Read(ctx context.Context, dir string, q Query) (Part, error) {
	late := time.After(q.Wait)
	for {
		part, err := read(dir, q)
		if err != nil || len(part.Data) > 0 || q.Wait <= 0 {
			return part, err
		}
		select {
		case <-time.After(lookAgain):
		case <-late:
			return part, nil
		case <-ctx.Done():
			return part, context.Cause(ctx)
		}
		q.Offset = &part.Offset
	}
}

func read(dir string, q Query) (Part, error) {
	l, err := Open(dir)
	if err != nil {
		return Part{}, err
	}
	defer l.Close()
	off, err := q.start(l)
	if err != nil {
		return Part{}, err
	}
	p := Part{Offset: off, Data: []byte{}, End: l.End()}
	if off == p.End { // who waits looks often
		return p, nil
	}
	end := min(off+maxPart, p.End)
	if p.Times, err = l.between(off, end); err != nil {
		return Part{}, err
	}
	if len(p.Times) > maxStamps { // the rest is for the next answer
		end = p.Times[maxStamps].Offset
		p.Times = p.Times[:maxStamps]
	}
	p.Data = make([]byte, end-off)
	n, err := l.ReadAt(p.Data, off)
	p.Data = p.Data[:n]
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return p, err
}

// start is the offset at which the answer begins.
func (q Query) start(l *Log) (int64, error) {
	if q.Offset != nil {
		// What is beyond the end was lost with the host's power.
		return min(max(*q.Offset, l.Begin()), l.End()), nil
	}
	off := l.Begin()
	var err error
	if !q.Since.IsZero() {
		if off, err = l.Since(q.Since); err != nil {
			return 0, err
		}
	}
	if q.Tail != nil {
		tail, err := l.Tail(*q.Tail)
		return max(off, tail), err
	}
	return off, nil
}

// between are the times of the bytes from one offset to another; the first may
// be of earlier ones too.
func (l *Log) between(from, to int64) (times []Stamp, err error) {
	err = l.Times(func(s Stamp) bool {
		switch {
		case s.Offset >= to || len(times) > maxStamps:
			return false
		case s.Offset <= from:
			times = append(times[:0], s)
		default:
			times = append(times, s)
		}
		return true
	})
	return times, err
}
