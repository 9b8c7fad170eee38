package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestEmptyDrive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.img")
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil { // a crash's
		t.Fatal(err)
	}
	for range 2 {
		if err := EmptyDrive(path); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) != emptySize {
		t.Fatal(len(data), err)
	}
	for _, b := range data {
		if b != 0 {
			t.Fatal("not all zeros")
		}
	}
	if err := EmptyDrive(filepath.Join(path, "x")); err == nil || fault.KindOf(err) != fault.Internal {
		t.Fatal(err)
	}
}
