package login

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func FuzzUsers(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:\n"), []byte("sudo:x:27:dev\n"))
	f.Add([]byte(":::::::\nx:x:-1:99999999999:::\n"), []byte(":::,,,\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, passwd, group []byte) {
		u := New(dir)
		write(t, dir, "passwd", passwd)
		write(t, dir, "group", group)
		for _, who := range []string{"root", "dev", "0", ""} {
			found, ok := u.Lookup(who)
			if (found != nil) != ok {
				t.Fatalf("%q: %v and %v", who, found, ok)
			}
			if found != nil && (found.Home == "" || found.Shell == "" || len(found.Groups) == 0) {
				t.Errorf("%q is %+v", who, found)
			}
		}
	})
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the files say is kept, but never longer than they say it.
func TestLookupFollowsTheFiles(t *testing.T) {
	dir := t.TempDir()
	f := New(dir)
	old := time.Now().Add(-time.Hour)
	for i, c := range []struct {
		passwd, group, environment string
		home                       string
		groups                     []uint32
		path                       string
	}{
		{"dev:x:1000:1000::/home/dev:/bin/bash\n", "sudo:x:27:dev\ndev:x:1000:dev\n", "", "/home/dev", []uint32{1000, 27}, DefaultPath},
		{"dev:x:1000:1000::/home/two:/bin/bash\n", "sudo:x:27:dev\n", "PATH=/opt", "/home/two", []uint32{1000, 27}, "/opt"},
		{"dev:x:1000:1000::/home/two:/bin/bash\n", "kvm:x:99:a,dev\nsudo:x:27:dev,dev\n", "PATH=\"/o\"", "/home/two", []uint32{1000, 99, 27}, "/o"},
	} {
		for name, text := range map[string]string{"passwd": c.passwd, "group": c.group, "environment": c.environment} {
			write(t, dir, name, []byte(text))
			old = old.Add(time.Minute)
			if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // read, and remembered
			u, ok := f.Lookup("dev")
			if !ok || u.Home != c.home || !slices.Equal(u.Groups, c.groups) {
				t.Errorf("%d: %+v", i, u)
			}
			if env := f.Env(u, false, nil); !slices.Contains(env, "PATH="+c.path) {
				t.Errorf("%d: %q", i, env)
			}
		}
	}
	if err := os.Remove(filepath.Join(dir, "passwd")); err != nil {
		t.Fatal(err)
	}
	if u, ok := f.Lookup("dev"); ok {
		t.Errorf("a user of a file that is gone: %+v", u)
	}
}
