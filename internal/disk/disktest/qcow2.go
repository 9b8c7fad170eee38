package disktest

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
)

// markByte stands for what a guest writes.
const markByte = "0x5a"

// node describes an overlay as a VMM opens it: each file with its format.
func node(t *testing.T, dir string, d disk.Drive) string {
	t.Helper()
	type object = map[string]any
	file := func(path string) object { return object{"driver": "file", "filename": path} }
	b, err := json.Marshal(object{
		"driver": string(d.Format), "file": file(resolve(dir, d)),
		"backing": object{"driver": "raw", "file": file(d.Backing)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return "json:" + string(b)
}

// qemuIO does something to an overlay.
func qemuIO(t *testing.T, dir string, d disk.Drive, command string) string {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), "qemu-io", "-c", command, node(t, dir, d)).CombinedOutput() // it fails where a pattern is not there
	return string(out)
}

// flat is the disk in an overlay as a file.
func flat(t *testing.T, dir string, d disk.Drive) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "convert", "-O", "raw", node(t, dir, d), raw).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return raw
}
