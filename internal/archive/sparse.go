package archive

import (
	"errors"
	"io"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Sparse is the PAX record of a file with holes: its size in decimal. The
// content of its entry is the map of its data, then that data: lines in
// decimal, how many parts there are and the offset and length of each, filled
// up with zeros to a whole block. That is the content of a file of GNU tar's
// sparse format 1.0.
const Sparse = "BANGER.sparse.size"

const (
	block    = 512
	maxParts = 1 << 15 // of a file; the smallest holes beyond are sent as zeros
	maxFile  = math.MaxInt64 / 2
)

// part is a part of a file that holds data.
type part struct{ at, n int64 }

// parts lists the data of a file of that size, in its order.
func parts(f *os.File, size int64) ([]part, error) {
	var all []part
	gap := int64(0) // holes up to this are taken for data
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return nil, err
		}
		end, err := unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if data >= size {
			break // it grows
		}
		at = min(end, size)
		all = appendPart(all, part{data, at - data}, gap)
		for len(all) == maxParts {
			gap = max(2*gap, 4<<10)
			kept := all[:0]
			for _, p := range all {
				kept = appendPart(kept, p, gap)
			}
			all = kept
		}
	}
	return all, nil
}

// appendPart adds p, to the last part where the hole between them is small.
func appendPart(all []part, p part, gap int64) []part {
	if n := len(all); n > 0 && p.at-(all[n-1].at+all[n-1].n) <= gap {
		all[n-1].n = p.at + p.n - all[n-1].at
		return all
	}
	return append(all, p)
}

// encodeMap writes the map of a file; the last part is an empty one at the
// file's end, as GNU tar has it.
func encodeMap(all []part, size int64) []byte {
	text := strconv.AppendInt(nil, int64(len(all))+1, 10)
	for _, p := range append(all, part{size, 0}) {
		text = strconv.AppendInt(append(text, '\n'), p.at, 10)
		text = strconv.AppendInt(append(text, '\n'), p.n, 10)
	}
	text = append(text, '\n')
	return append(text, make([]byte, pad(int64(len(text))))...)
}

func pad(n int64) int64 { return -n & (block - 1) }

// decodeMap reads a map and checks it: it is of a file of that size, whose
// entry holds content bytes, map included.
func decodeMap(r io.Reader, size, content int64) ([]part, error) {
	if size < 0 || size > maxFile {
		return nil, hostile("a file of %d bytes", size)
	}
	m := mapReader{r: io.LimitReader(r, content)}
	n := m.number()
	if m.err == nil && (n < 1 || n > maxParts+1) {
		return nil, hostile("a file in %d parts", n)
	}
	var all []part
	end, sum := int64(0), int64(0)
	for range n {
		p := part{m.number(), m.number()}
		if m.err != nil {
			break
		}
		if p.at < end || p.at > size || p.n > size-p.at {
			return nil, hostile("a part of a file of %d bytes that begins at byte %d and has %d", size, p.at, p.n)
		}
		end, sum = p.at+p.n, sum+p.n
		if p.n > 0 {
			all = append(all, p)
		}
	}
	if m.err != nil {
		return nil, broken(m.err)
	}
	if m.read+sum != content {
		return nil, hostile("a file whose parts have %d bytes, of %d", sum, content)
	}
	return all, nil
}

// mapReader reads the numbers of a map, whole blocks at a time.
type mapReader struct {
	r    io.Reader
	buf  [block]byte
	rest []byte // of buf
	read int64
	err  error
}

func (m *mapReader) number() int64 {
	n, digits := int64(0), 0
	for m.err == nil {
		if len(m.rest) == 0 {
			_, m.err = io.ReadFull(m.r, m.buf[:])
			m.rest, m.read = m.buf[:], m.read+block
			continue
		}
		b := m.rest[0]
		m.rest = m.rest[1:]
		switch {
		case b == '\n' && digits > 0:
			return n
		case b < '0' || b > '9' || digits == 18:
			m.err = hostile("the map of a file's data is no list of numbers")
		default:
			n, digits = 10*n+int64(b-'0'), digits+1
		}
	}
	return 0
}
