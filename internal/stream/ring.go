package stream

// ring holds the bytes [start, end) of a stream in at most Window bytes of
// memory. A byte's place depends on its offset alone, so a reader and a writer
// may each use their own part while the other moves its bound.
type ring struct {
	buf        []byte // its size is a power of two, or zero
	start, end uint64
}

const firstRing = 4 << 10

// room returns free space after end to write into, growing the ring while it
// is full; empty when there are Window bytes.
func (r *ring) room() []byte {
	if r.len() == len(r.buf) && len(r.buf) < Window {
		r.grow()
	}
	return r.span(r.end, r.start+uint64(len(r.buf)))
}

// at returns the contiguous bytes from offset off, which may be fewer than
// there are.
func (r *ring) at(off uint64) []byte { return r.span(off, r.end) }

func (r *ring) len() int { return int(r.end - r.start) }

// reset empties the ring and goes on at off.
func (r *ring) reset(off uint64) { r.start, r.end = off, off }

// copyTo appends n bytes from offset off to dst.
func (r *ring) copyTo(dst []byte, off uint64, n int) []byte {
	for n > 0 {
		part := r.at(off)
		part = part[:min(n, len(part))]
		dst = append(dst, part...)
		off += uint64(len(part))
		n -= len(part)
	}
	return dst
}

// put appends as much of p as there is room for.
func (r *ring) put(p []byte) int {
	done := 0
	for done < len(p) {
		n := copy(r.room(), p[done:])
		if n == 0 {
			break
		}
		r.end += uint64(n)
		done += n
	}
	return done
}

func (r *ring) span(from, to uint64) []byte {
	size := uint64(len(r.buf))
	if from >= to || size == 0 {
		return nil
	}
	i := from & (size - 1)
	return r.buf[i:min(size, i+to-from)]
}

func (r *ring) grow() {
	bigger := ring{buf: make([]byte, max(2*len(r.buf), firstRing)), start: r.start, end: r.end}
	size := uint64(len(bigger.buf))
	for off := r.start; off < r.end; {
		part := r.at(off)
		n := copy(bigger.buf[off&(size-1):], part)
		off += uint64(n)
	}
	r.buf = bigger.buf
}
