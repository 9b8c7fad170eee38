package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Standard copies an archive of Pack's to w as one that other programs read:
// files with holes become those of GNU tar's sparse format 1.0. Names are
// checked as by Unpack; tops are the only ones that may come at the top.
func Standard(ctx context.Context, w io.Writer, r io.Reader, tops []string, n *Count) error {
	names := &unpacker{place: &Place{rules: Rules{Tops: tops}}}
	in, out := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := in.Next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return out.Close()
		case err != nil:
			return broken(err)
		}
		if err := check(h, false); err != nil {
			return err
		}
		clean := &tar.Header{Typeflag: h.Typeflag, Linkname: h.Linkname, Mode: h.Mode, ModTime: h.ModTime, Size: h.Size, Format: tar.FormatPAX}
		if clean.Name, err = names.placed(h.Name, h.Typeflag == tar.TypeDir); err != nil {
			return err
		}
		if err := copyEntry(out, w, counting{in, n}, clean, h.PAXRecords[Sparse]); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeDir {
			n.Files.Add(1)
		}
	}
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n *Count
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Bytes.Add(int64(n))
	return n, err
}

// copyEntry copies an entry; sparse is its record.
func copyEntry(out *tar.Writer, w io.Writer, in io.Reader, h *tar.Header, sparse string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		if h.Name == "" {
			h.Name = "."
		}
		h.Name += "/"
	case tar.TypeLink:
		to, err := inside(h.Linkname)
		if err != nil {
			return err
		}
		h.Linkname = to
	case tar.TypeSymlink:
	case tar.TypeReg:
		if sparse != "" {
			return copySparse(out, w, in, h, sparse)
		}
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(out, in)
	return cut(err)
}

// copySparse writes the headers of a file with holes itself, as archive/tar
// only reads such; its content is that of ours.
func copySparse(out *tar.Writer, w io.Writer, in io.Reader, h *tar.Header, sparse string) error {
	size, err := strconv.ParseInt(sparse, 10, 64)
	if err != nil {
		return hostile("a file of %.40q bytes", sparse)
	}
	all, err := decodeMap(in, size, h.Size)
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	content := encodeMap(all, size)
	length := int64(len(content))
	for _, each := range all {
		length += each.n
	}
	records := paxRecords(map[string]string{
		"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": h.Name, "GNU.sparse.realsize": sparse,
		"mtime": fmt.Sprintf("%d.%09d", h.ModTime.Unix(), h.ModTime.Nanosecond()), "size": strconv.FormatInt(length, 10),
	})
	head := slices.Concat(
		ustar('x', "PaxHeaders.0", 0o644, int64(len(records)), h.ModTime.Unix()), records, make([]byte, pad(int64(len(records)))),
		ustar(tar.TypeReg, "GNUSparseFile.0", h.Mode, length, h.ModTime.Unix()), content,
	)
	if _, err := w.Write(head); err != nil {
		return err
	}
	if _, err := io.Copy(w, in); err != nil {
		return cut(err)
	}
	_, err = w.Write(make([]byte, pad(length)))
	return err
}

func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

// paxRecords encodes records, each of which begins with its own length.
func paxRecords(records map[string]string) []byte {
	var all []byte
	for _, key := range slices.Sorted(maps.Keys(records)) {
		rest := " " + key + "=" + records[key] + "\n"
		n := len(rest)
		for n != len(rest)+len(strconv.Itoa(n)) {
			n = len(rest) + len(strconv.Itoa(n))
		}
		all = append(all, strconv.Itoa(n)+rest...)
	}
	return all
}

// ustar is a header; a size that its field cannot hold is in a record.
func ustar(kind byte, name string, mode, size, mtime int64) []byte {
	b := make([]byte, block)
	copy(b, name)
	octal := func(at, digits int, n int64) {
		if n < 0 || n >= 1<<(3*digits) {
			n = 0
		}
		copy(b[at:], fmt.Sprintf("%0*o", digits, n))
	}
	octal(100, 7, mode&0o7777)
	octal(108, 7, 0)
	octal(116, 7, 0)
	octal(124, 11, size)
	octal(136, 11, mtime)
	copy(b[148:], strings.Repeat(" ", 8))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	sum := int64(0)
	for _, c := range b {
		sum += int64(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00", sum))
	return b
}
