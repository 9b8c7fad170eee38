package payload

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/internal/hostexec"
)

const size = 64 << 20

// disk makes a disk of entries and returns what debugfs says to requests.
func disk(t *testing.T, entries []Entry) func(request string) string {
	t.Helper()
	scratch := t.TempDir()
	out := filepath.Join(scratch, "disk.img")
	if err := Make(t.Context(), hostexec.Host{}, scratch, out, size, entries); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) != 1 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
	if st, err := os.Stat(out); err != nil || st.Size() != size {
		t.Errorf("the disk: %v, %v", st, err)
	}
	return func(request string) string {
		res, err := hostexec.Host{}.Run(t.Context(), hostexec.Cmd{Name: "debugfs", Args: []string{"-R", request, out}})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Stdout)
	}
}

func TestMake(t *testing.T) {
	dir := t.TempDir()
	write := func(name, body string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(body), mode), os.Chmod(path, mode))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := write("tree/secret", "for all in the host", 0o600)
	write("tree/sub/program", "#!", 0o755)
	if err := os.Symlink("sub/program", filepath.Join(dir, "tree/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("tree", filepath.Join(dir, "way")); err != nil {
		t.Fatal(err)
	}
	ask := disk(t, []Entry{
		{Name: "a/tree", Source: filepath.Join(dir, "way")},
		{Name: "b", Source: secret},
		{Name: "c", Link: "a/tree"},
	})
	for request, want := range map[string]string{
		"cat /a/tree/secret":       "for all in the host",
		"cat /b":                   "for all in the host",
		"stat /b":                  "Mode:  0644",
		"stat /a/tree":             "Mode:  0755",
		"stat /a/tree/sub/program": "Mode:  0755",
		"stat /a/tree/link":        `Fast link dest: "sub/program"`,
		"stat /c":                  `Fast link dest: "a/tree"`,
	} {
		if got := ask(request); !strings.Contains(got, want) {
			t.Errorf("%s: %s", request, got)
		}
	}
	if st, err := os.Stat(secret); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the source changed: %v, %v", st, err)
	}
}

func TestMakeRefusesNamesOutside(t *testing.T) {
	for _, name := range []string{"../x", "/x", ""} {
		out := filepath.Join(t.TempDir(), "disk.img")
		if err := Make(t.Context(), hostexec.Host{}, t.TempDir(), out, size, []Entry{{Name: name, Source: "/etc/passwd"}}); err == nil {
			t.Errorf("%q is a name in the payload", name)
		}
	}
}

// A copy keeps holes as holes.
func TestCopyData(t *testing.T) {
	dir := t.TempDir()
	in, err := os.Create(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const whole = 32 << 20
	for at, text := range map[int64]string{0: "first", 16 << 20: "middle"} {
		if _, err := in.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(in.Truncate(whole), copyData(out, in, whole)); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(in.Name())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("the copy differs (%d bytes, %v)", len(b), err)
	}
	st, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Blocks*512 > 1<<20 {
		t.Errorf("the copy takes %d bytes", sys.Blocks*512)
	}
}
