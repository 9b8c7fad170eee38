package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copySparse copies from to to, which must not exist, leaves holes as holes,
// and returns the digest of the content. The copy shares its blocks with the
// original where the file system can do that.
func copySparse(ctx context.Context, from, to string, report func(done, total int64)) (digest string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return "", err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm()|0o200)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var w io.WriterAt = out
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		w = nil // all there is left to do is the digest
	} else if err := out.Truncate(st.Size()); err != nil {
		return "", err
	}
	if digest, err = digestExtents(ctx, in, w, st.Size(), report); err != nil {
		return "", err
	}
	return digest, errors.Join(out.Chmod(st.Mode().Perm()), out.Sync())
}

// digestExtents hashes the size and all blocks that are not zero, with their
// places, and writes them to w as well where w is not nil. How the file is
// laid out (hole or zeroes) makes no difference.
func digestExtents(ctx context.Context, in *os.File, w io.WriterAt, size int64, report func(done, total int64)) (string, error) {
	h := sha256.New()
	writeInt(h, size)
	_, total, err := usage(in.Name())
	if err != nil {
		return "", err
	}
	var done int64
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; {
		if err := context.Cause(ctx); err != nil {
			return "", err
		}
		start, err := unix.Seek(int(in.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole is left
		}
		if err != nil {
			return "", err
		}
		off = start - start%int64(len(buf)) // the same blocks whatever the extents
		n, err := in.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if err := digestBlocks(h, w, buf[:n], off); err != nil {
			return "", err
		}
		off += int64(len(buf))
		done += int64(n)
		report(min(done, total), total)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

const digestBlock = 4096

var zeroes [digestBlock]byte

func digestBlocks(h hash.Hash, w io.WriterAt, data []byte, off int64) error {
	for len(data) > 0 {
		n := min(digestBlock, len(data))
		if string(data[:n]) != string(zeroes[:n]) {
			writeInt(h, off)
			h.Write(data[:n])
			if w != nil {
				if _, err := w.WriteAt(data[:n], off); err != nil {
					return err
				}
			}
		}
		data, off = data[n:], off+int64(n)
	}
	return nil
}

func writeInt(h hash.Hash, n int64) {
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}
