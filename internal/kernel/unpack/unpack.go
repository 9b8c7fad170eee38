// Package unpack reads what kernels and their modules are packed with: gzip,
// Zstandard, XZ (with the x86 filter that a kernel's build uses) and LZ4 in its
// legacy frames. Whatever it is given, it reads no more than its bounds allow.
package unpack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

// maxWindow bounds how much of what was unpacked a decoder keeps: kernels are
// packed with up to 128 MiB.
const maxWindow = 128 << 20

// maxOutput is more than any limit: that is not for the decoder to keep.
const maxOutput = 1 << 40

// ErrTooLarge is the error of a read beyond the limit.
var ErrTooLarge = errors.New("it unpacks to more than is allowed")

// format is a way to pack.
type format struct {
	name  string
	magic string
	open  func(r io.Reader, window int) (io.Reader, func(), error) // nil: only its name is known
}

var formats = [...]format{
	{"gzip", "\x1f\x8b", openGzip},
	{"Zstandard", "\x28\xb5\x2f\xfd", openZstd},
	{"XZ", "\xfd7zXZ\x00", openXZ},
	{"LZ4", "\x02\x21\x4c\x18", openLZ4},
	{"bzip2", "BZh", nil},
	{"LZMA", "\x5d\x00\x00", nil},
	{"LZO", "\x89LZO", nil},
}

// peeked is as much as the longest magic number.
const peeked = 6

// Open reads what is packed in r, up to limit bytes: the read of one more fails
// with ErrTooLarge. Closing the reader frees it, and closes nothing else.
func Open(r io.Reader, limit int64) (io.ReadCloser, error) { return open(r, limit, maxWindow) }

func open(r io.Reader, limit int64, window int) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(peeked)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, f := range formats {
		if !bytes.HasPrefix(head, []byte(f.magic)) {
			continue
		}
		if f.open == nil {
			return nil, fmt.Errorf("it is packed with %s; gzip, Zstandard, XZ and LZ4 are known", f.name)
		}
		from, free, err := f.open(in, window)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		return &reader{format: f.name, from: from, left: limit, free: free}, nil
	}
	return nil, fmt.Errorf("it is packed in a way that is not known (it begins with % x); gzip, Zstandard, XZ and LZ4 are", head)
}

func openGzip(r io.Reader, _ int) (io.Reader, func(), error) {
	dec, err := gzip.NewReader(r)
	return dec, nil, err
}

func openZstd(r io.Reader, window int) (io.Reader, func(), error) {
	dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxOutput), zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		return nil, nil, err
	}
	return dec, dec.Close, nil
}

func openXZ(r io.Reader, window int) (io.Reader, func(), error) {
	dec, err := xz.NewReader(r, uint32(window))
	return dec, nil, err
}

func openLZ4(r io.Reader, _ int) (io.Reader, func(), error) {
	return lz4.NewReader(r), nil, nil
}

// reader bounds what a decoder gives.
type reader struct {
	format string
	from   io.Reader
	left   int64
	free   func()
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.from.Read(p)
	if int64(n) > r.left {
		n, r.left = int(r.left), 0
		return n, ErrTooLarge
	}
	r.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", r.format, err)
	}
	return n, err
}

func (r *reader) Close() error {
	if r.free != nil {
		r.free()
	}
	return nil
}

// Writer keeps its error, to tell it from that of a reader that is copied.
type Writer struct {
	To  io.Writer
	Err error
}

func (w *Writer) Write(p []byte) (n int, err error) {
	n, w.Err = w.To.Write(p)
	return n, w.Err
}
