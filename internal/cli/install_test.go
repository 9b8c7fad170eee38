package cli

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// make install puts everything in its standard place, readable by all, twice the
// same, and make uninstall takes all of it away.
func TestInstall(t *testing.T) {
	root, build := repository(t), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(build, "banger")); err != nil { // by this name it is the CLI, see TestMain
		t.Fatal(err)
	}
	for _, name := range []string{"bangerd", "banger-guest"} {
		if err := os.WriteFile(filepath.Join(build, name), []byte("program"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dest, data := t.TempDir(), "/usr/local/share"
	places := []string{dest, "/usr/local/bin", "/usr/local/libexec/banger", data, "/usr/local/lib/systemd/user"}
	script := func(first string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(root, "scripts/install"), append([]string{first}, places...)...)
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1", "LC_ALL=C", "GORACE=atexit_sleep_ms=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	script(build)
	first := contents(t, dest)
	for _, want := range []string{
		"/usr/local/bin/banger", "/usr/local/bin/bangerd", "/usr/local/libexec/banger/banger-guest", "/usr/local/lib/systemd/user/banger.service",
		data + "/bash-completion/completions/banger", data + "/zsh/site-functions/_banger", data + "/fish/vendor_completions.d/banger.fish",
		data + "/man/man1/banger.1", data + "/man/man1/banger-run.1", data + "/man/man1/banger-image-ls.1", data + "/man/man1/banger-vm-create.1",
	} {
		if first[want] == "" {
			t.Errorf("there is no %s", want)
		}
	}
	if !strings.Contains(first[data+"/man/man1/banger.1"], `"1970-01-01"`) {
		t.Error("the pages do not bear the date of SOURCE_DATE_EPOCH")
	}
	script(build)
	for path, text := range contents(t, dest) {
		if first[path] != text {
			t.Errorf("%s is another one the second time", path)
		}
	}
	script("-u")
	if left := contents(t, dest); len(left) > 0 {
		t.Errorf("make uninstall left %v", left)
	}
}

// repository is the root of the source.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// contents are the files below a directory, which all may read.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); !slices.Contains([]fs.FileMode{0o644, 0o755}, mode) {
			t.Errorf("%s has the mode %v", path, mode)
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
