package call

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func frames(t *testing.T, write func(w *Writer)) []byte {
	t.Helper()
	var buf bytes.Buffer
	write(NewWriter(&buf, func() error { return nil }))
	return buf.Bytes()
}

func TestFramesComeBack(t *testing.T) {
	long := strings.Repeat("x", 3*MaxFrame+7)
	sent := frames(t, func(w *Writer) {
		io.WriteString(w.Stream(Stdout), "one")
		io.WriteString(w.Stream(Stderr), "two")
		if n, err := io.WriteString(w.Stream(Stdout), long); n != len(long) || err != nil {
			t.Errorf("wrote %d of %d, %v", n, len(long), err)
		}
		if err := w.Exit(Exit{Code: 7, Error: "why"}); err != nil {
			t.Error(err)
		}
	})
	var out, errs strings.Builder
	exit, err := Read(bytes.NewReader(sent), &out, &errs)
	if err != nil || exit != (Exit{Code: 7, Error: "why"}) {
		t.Errorf("%+v, %v", exit, err)
	}
	if out.String() != "one"+long || errs.String() != "two" {
		t.Errorf("%d bytes and %q", out.Len(), errs.String())
	}
	for n := range sent[:min(len(sent), 200)] {
		if _, err := Read(bytes.NewReader(sent[:n]), io.Discard, io.Discard); err == nil {
			t.Errorf("output that breaks off after %d bytes is taken for whole", n)
		}
	}
}

func TestBadFrames(t *testing.T) {
	for name, sent := range map[string]string{
		"too long":     "o\x00\x01\x00\x01",
		"unknown kind": "?\x00\x00\x00\x01x",
		"no exit":      "x\x00\x00\x00\x01x",
	} {
		if _, err := Read(strings.NewReader(sent), io.Discard, io.Discard); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriterReportsTheFlush(t *testing.T) {
	gone := errors.New("gone")
	w := NewWriter(io.Discard, func() error { return gone })
	if _, err := io.WriteString(w.Stream(Stdout), "x"); !errors.Is(err, gone) {
		t.Error(err)
	}
}
