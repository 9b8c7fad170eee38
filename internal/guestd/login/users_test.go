package login

import (
	"os"
	"path/filepath"
	"testing"
)

func FuzzUsers(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:\n"), []byte("sudo:x:27:dev\n"))
	f.Add([]byte(":::::::\nx:x:-1:99999999999:::\n"), []byte(":::,,,\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, passwd, group []byte) {
		u := New(dir)
		u.passwd = &cachedFile{path: write(t, dir, "passwd", passwd)}
		u.group = &cachedFile{path: write(t, dir, "group", group)}
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

func write(t *testing.T, dir, name string, data []byte) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
