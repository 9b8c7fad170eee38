package boot

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeepTmp(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		conf  string // that systemd is to follow, "" if the image's own
	}{
		"Debian 12":    {map[string]string{"usr/lib/tmpfiles.d/tmp.conf": "# clear\nD /tmp 1777 root root -\n#q /var/tmp 1777 root root 30d\n"}, "# clear\nd /tmp 1777 root root -\n#q /var/tmp 1777 root root 30d\n"},
		"at boot only": {map[string]string{"usr/lib/tmpfiles.d/tmp.conf": "D! /tmp 1777 root root\n"}, "d! /tmp 1777 root root\n"},
		"kept":         {map[string]string{"usr/lib/tmpfiles.d/tmp.conf": "q /tmp 1777 root root 10d\n"}, ""},
		"by choice":    {map[string]string{"usr/lib/tmpfiles.d/tmp.conf": "D /tmp 1777 root root -\n", "etc/tmpfiles.d/tmp.conf": "D /tmp\n"}, ""},
		"no systemd":   {nil, ""},
	} {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		outside := filepath.Join(t.TempDir(), "outside")
		files := map[string]string{"tmp/a": "x", "tmp/b/c": "x"}
		for path, text := range test.files {
			files[path] = text
		}
		for path, text := range files {
			if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := root.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(outside, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, "tmp/link")); err != nil {
			t.Fatal(err)
		}
		if err := keepTmp(root); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		left, err := os.ReadDir(filepath.Join(dir, "tmp"))
		if want := map[bool]int{true: 3, false: 0}[test.conf == ""]; err != nil || len(left) != want {
			t.Errorf("%s: %d entries are left in /tmp, not %d (%v)", name, len(left), want, err)
		}
		if _, err := os.Stat(outside); err != nil {
			t.Errorf("%s: a link out was followed: %v", name, err)
		}
		conf, err := os.ReadFile(filepath.Join(dir, "run/tmpfiles.d/tmp.conf"))
		if string(conf) != test.conf || (err != nil) != (test.conf == "") {
			t.Errorf("%s: systemd is told %q, not %q (%v)", name, conf, test.conf, err)
		}
	}
}
