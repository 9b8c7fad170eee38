package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type cpioEntry struct {
	name         string
	mode         uint64
	major, minor uint64
	body         string
}

// readCPIO reads a newc archive as the kernel does.
func readCPIO(t *testing.T, b []byte) []cpioEntry {
	t.Helper()
	var out []cpioEntry
	for off := 0; ; {
		head := string(b[off : off+110])
		if head[:6] != "070701" {
			t.Fatalf("no magic at %d: %q", off, head[:6])
		}
		field := func(i int) (n uint64) {
			if _, err := fmt.Sscanf(head[6+8*i:14+8*i], "%x", &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		size, nameSize := int(field(6)), int(field(11))
		name := strings.TrimSuffix(string(b[off+110:off+110+nameSize]), "\x00")
		start := (off + 110 + nameSize + 3) &^ 3
		if name == "TRAILER!!!" {
			return out
		}
		out = append(out, cpioEntry{name, field(1), field(9), field(10), string(b[start : start+size])})
		off = (start + size + 3) &^ 3
	}
}

func TestInitramfs(t *testing.T) {
	modules := map[string]string{"000-a.ko": "first", "001-b.ko.xz": "second!"}
	load := func(name string) ([]byte, error) { return []byte(modules[name]), nil }
	var buf bytes.Buffer
	if err := WriteInitramfs(&buf, []byte("agent"), []string{"000-a.ko", "001-b.ko.xz"}, load); err != nil {
		t.Fatal(err)
	}
	want := []cpioEntry{
		{name: "dev", mode: 0o40755},
		{name: "modules", mode: 0o40755},
		{name: "newroot", mode: 0o40755},
		{name: "proc", mode: 0o40755},
		{name: "run", mode: 0o40755},
		{name: "sys", mode: 0o40755},
		{name: "dev/console", mode: 0o20600, major: 5, minor: 1},
		{name: "init", mode: 0o100755, body: "agent"},
		{name: "modules/000-a.ko", mode: 0o100644, body: "first"},
		{name: "modules/001-b.ko.xz", mode: 0o100644, body: "second!"},
		{name: "modules.list", mode: 0o100644, body: "000-a.ko\n001-b.ko.xz\n"},
	}
	if diff := cmp.Diff(want, readCPIO(t, buf.Bytes()), cmp.AllowUnexported(cpioEntry{})); diff != "" {
		t.Fatal(diff)
	}
}

type brokenWriter struct{ left int }

var errFull = errors.New("no space")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestInitramfsTellsWriteErrors(t *testing.T) {
	load := func(string) ([]byte, error) { return make([]byte, 1000), nil }
	for left := 0; left < 2000; left += 100 {
		err := WriteInitramfs(&brokenWriter{left}, []byte("agent"), []string{"000-a.ko"}, load)
		if !errors.Is(err, errFull) {
			t.Fatalf("with room for %d bytes: got %v", left, err)
		}
	}
}
