package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/store"
)

// An image that holds only busybox works: with its own init, and with none,
// where banger-guest is it.
func TestBusybox(t *testing.T) {
	e := private(t)
	e.busyboxImage(t, "b1", "with-init", true)
	e.busyboxImage(t, "b2", "no-init", false)
	for name, init := range map[string]string{"with-init": "/bin/busybox", "no-init": "banger-init"} {
		t.Run(name, func(t *testing.T) {
			vm := "bb-" + name
			e.vm(t, vm, "--image", name, "-m", "256M")
			out := e.ok(t, "exec", vm, "--", "sh", "-c", "hostname; id -un; until case $(cat /proc/1/comm):$(readlink /proc/1/exe) in banger-init:*|*:/bin/busybox) true;; *) false;; esac; do sleep 1; done; echo $(cat /proc/1/comm) $(readlink /proc/1/exe); echo kept >/srv-file; echo home >~/a")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) != 3 || lines[0] != vm || lines[1] != "root" || !strings.Contains(lines[2], init) {
				t.Errorf("%q", out)
			}
			e.ok(t, "stop", vm)
			if v := e.inspect(t, vm); v.State != api.StateStopped || v.Reason != "" {
				t.Errorf("after a stop: %s %q", v.State, v.Reason)
			}
			e.ok(t, "start", vm)
			if out := e.ok(t, "exec", vm, "--", "sh", "-c", "cat /srv-file ~/a"); out != "kept\nhome\n" {
				t.Errorf("after a restart: %q", out)
			}
			before := e.inspect(t, vm).Boot.GuestBoot
			e.banger(t, "exec", vm, "--", "sh", "-c", "while :; do reboot; sleep 3; done")
			await(t, "the guest to be back", func() bool {
				v := e.inspect(t, vm)
				return v.State == api.StateRunning && v.Boot.GuestBoot != "" && v.Boot.GuestBoot != before
			})
			e.banger(t, "exec", vm, "--", "sh", "-c", "while :; do poweroff; sleep 3; done")
			await(t, "the VM to be off", func() bool { return e.inspect(t, vm).State == api.StateStopped })
		})
	}
}

// busyboxImage puts an image into the state directory; no daemon may run yet.
func (e *env) busyboxImage(t *testing.T, id, name string, init bool) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("busybox-static is not installed: ", err)
	}
	tree := t.TempDir()
	for _, dir := range []string{"bin", "sbin", "etc", "root", "proc", "sys", "dev", "run", "tmp", "lib"} {
		if err := os.Mkdir(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"bin/busybox": program,
		"etc/passwd":  []byte("root:x:0:0:root:/root:/bin/sh\n"),
		"etc/group":   []byte("root:x:0:\n"),
		"etc/inittab": []byte("::sysinit:/bin/true\n::shutdown:/bin/umount -a -r\n"),
	}
	for path, data := range files {
		if err := os.WriteFile(filepath.Join(tree, path), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, applet := range []string{"sh", "cat", "echo", "hostname", "id", "true", "umount", "reboot", "poweroff", "sleep", "sync", "readlink"} {
		if err := os.Symlink("busybox", filepath.Join(tree, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	if init {
		if err := os.Symlink("../bin/busybox", filepath.Join(tree, "sbin/init")); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(e.state(), "images", id)
	if err := os.MkdirAll(filepath.Join(dir, "skel"), 0o700); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root.img")
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-d", tree, root, "256M").CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db, err := store.Open(ctx, filepath.Join(e.state(), "banger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.InsertImage(ctx, image.Image{
		ID: id, Name: name, User: "root", OS: "busybox", SizeBytes: 256 << 20, CreatedAt: time.Now().UTC(),
	})
	if err != nil {
		t.Fatal(err)
	}
}
