package units

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	registry "github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/store"
)

// seed puts an image with nothing but busybox into a state directory that no
// daemon has yet, and the kernel if the host has one: made here, it takes minutes.
func seed(t *testing.T, state string) {
	t.Helper()
	dir := filepath.Join(state, "images", "b0")
	if err := os.MkdirAll(filepath.Join(dir, "skel"), 0o700); err != nil {
		t.Fatal(err)
	}
	root(t, "sh", "-ec", `
tree=$(mktemp -d)
for d in bin sbin etc root proc sys dev run tmp lib; do mkdir $tree/$d; done
cp "$(command -v busybox)" $tree/bin/busybox
for a in sh cat echo id true sleep reboot sync; do ln -s busybox $tree/bin/$a; done
echo root:x:0:0:root:/root:/bin/sh >$tree/etc/passwd
echo root:x:0: >$tree/etc/group
mke2fs -q -t ext4 -d $tree "$1" 64M
rm -r $tree
if [ -d "$BANGER_TEST_SEED/kernels" ]; then cp -r --sparse=always "$BANGER_TEST_SEED/kernels" "$2/"; fi
`, "sh", filepath.Join(dir, "root.img"), state)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db, err := store.Open(ctx, filepath.Join(state, "banger.db"))
	if err != nil {
		t.Fatal(err)
	}
	err = db.InsertImage(ctx, registry.Image{
		ID: "b0", Name: image, User: "root", OS: "busybox", SizeBytes: 64 << 20, CreatedAt: time.Now().UTC(),
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// install installs banger, as make install does.
func install(t *testing.T) {
	t.Helper()
	where := []string{"", "/usr/local/bin", "/usr/local/libexec/banger", "/usr/local/share", "/usr/local/lib/systemd/user"}
	root(t, "bash", append([]string{payload + "/scripts/install", "bin"}, where...)...)
	t.Cleanup(func() {
		root(t, "bash", append([]string{payload + "/scripts/install", "-u"}, where...)...)
		if _, err := os.Stat("/usr/local/libexec/banger"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("make uninstall left /usr/local/libexec/banger: %v", err)
		}
	})
}
