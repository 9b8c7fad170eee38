package qcow2

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/disktest"
	"github.com/banger-vm/banger/internal/fault"
)

func TestConformance(t *testing.T) {
	needImg(t)
	disktest.Run(t, New())
}

func needImg(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"qemu-img", "qemu-io"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("qemu-utils is not installed")
		}
	}
}

// What we write is an image in order by QEMU's own measure, of any size.
func TestInOrder(t *testing.T) {
	needImg(t)
	for _, size := range []int64{512, perL1, perL1 + 512, 32 << 30, maxBytes} {
		dir := t.TempDir()
		if err := New().Reset(t.Context(), dir, disk.Base{Path: "/nowhere", SizeBytes: size}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, rootFile)
		if out, err := exec.CommandContext(t.Context(), "qemu-img", "check", "-f", "qcow2", path).CombinedOutput(); err != nil {
			t.Errorf("%d: %v: %s", size, err, out)
		}
		out, err := exec.CommandContext(t.Context(), "qemu-img", "info", "-f", "qcow2", "--output=json", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		var info struct {
			Size    int64  `json:"virtual-size"`
			Backing string `json:"backing-filename"`
		}
		if err := json.Unmarshal(out, &info); err != nil || info.Size != size || info.Backing != "" {
			t.Errorf("%+v, %v", info, err)
		}
	}
	for _, size := range []int64{0, -512, 511, maxBytes + 512} {
		if err := New().Reset(t.Context(), t.TempDir(), disk.Base{SizeBytes: size}); fault.KindOf(err) != fault.Precondition {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// An overlay that is not as ours are is never opened.
func TestForeign(t *testing.T) {
	base := disk.Base{Path: "/nowhere", SizeBytes: 1 << 30}
	for name, spoil := range map[string]struct {
		at   int64
		data string
		says string
	}{
		"magic":         {0, "QFI\xfa", "another format"},
		"version":       {atVersion, "\x00\x00\x00\x02", "another format"},
		"backing file":  {atBackingName, "\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x0b", "names another file"},
		"clusters":      {atClusterBits, "\x00\x00\x00\x15", "another size"},
		"encrypted":     {atCrypt, "\x00\x00\x00\x02", "encrypted"},
		"snapshots":     {atSnapshots, "\x00\x00\x00\x01", "snapshots"},
		"data file":     {atIncompatible, "\x00\x00\x00\x00\x00\x00\x00\x04", "features"},
		"corrupt":       {atIncompatible, "\x00\x00\x00\x00\x00\x00\x00\x02", "damaged"},
		"header":        {atHeaderBytes, "\x00\x00\x00\x08", "header is broken"},
		"no size":       {atSize, "\x00\x00\x00\x00\x00\x00\x00\x00", "impossible"},
		"another size":  {atSize, "\x00\x00\x00\x00\x10\x00\x00\x00", "cannot be of this image"},
		"only dirty":    {atIncompatible, "\x00\x00\x00\x00\x00\x00\x00\x01", ""},
		"only in order": {0, "", ""},
	} {
		dir := t.TempDir()
		if err := New().Reset(t.Context(), dir, base); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(dir, rootFile), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte(spoil.data), spoil.at)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		_, err = New().Open(dir, base)
		switch {
		case spoil.says == "" && err != nil, spoil.says != "" && (err == nil || !strings.Contains(err.Error(), spoil.says)):
			t.Errorf("%s: %v, not %q", name, err, spoil.says)
		case errors.Is(err, os.ErrNotExist):
			t.Errorf("%s: taken for none", name)
		}
	}
}

func FuzzHeader(f *testing.F) {
	var b buffer
	if err := writeNew(&b, 1<<30); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(b[:headerLimit]))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size, err := readHeader(bytes.NewReader(b)); err == nil && (size <= 0 || size > maxBytes || be.Uint64(b[atBackingName:]) != 0) {
			t.Error(size)
		}
	})
}

// buffer is a file in memory.
type buffer []byte

func (b *buffer) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); len(*b) < need {
		*b = append(*b, make([]byte, need-len(*b))...)
	}
	return copy((*b)[at:], p), nil
}
