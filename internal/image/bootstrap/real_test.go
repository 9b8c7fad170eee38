package bootstrap

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/operation"
)

// realBuilder works with this host's own packages.
func realBuilder(t *testing.T, cache string) *Builder {
	t.Helper()
	if os.Getenv("BANGER_TEST_IMAGE") != "1" {
		t.Skip("a real bootstrap takes a minute and the network: set BANGER_TEST_IMAGE=1")
	}
	return New(Config{CacheDir: cache, UID: os.Geteuid()}, hostexec.Host{}, slog.New(slog.DiscardHandler))
}

// debugfs asks for something in the image without mounting it.
func debugfs(t *testing.T, path, request string) string {
	t.Helper()
	res, err := hostexec.Host{}.Run(t.Context(), hostexec.Cmd{Name: "debugfs", Args: []string{"-R", request, path}})
	if err != nil {
		t.Fatal(err)
	}
	return string(res.Stdout)
}

func TestRealImage(t *testing.T) {
	dir := t.TempDir()
	img, err := realBuilder(t, "").Make(t.Context(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, image.RootFile)
	if img.SizeBytes != 32<<30 || img.UsedBytes > 600<<20 || !strings.HasPrefix(img.OS, "Debian GNU/Linux") {
		t.Errorf("got %+v", img)
	}
	if keys := debugfs(t, root, "ls -p /etc/ssh"); strings.Contains(keys, "ssh_host") || !strings.Contains(keys, "/sshd_config/") {
		t.Errorf("/etc/ssh holds\n%s", keys)
	}
	if id := debugfs(t, root, "cat /etc/machine-id"); id != "" {
		t.Errorf("the machine-id is %q", id)
	}
	if passwd := debugfs(t, root, "cat /etc/passwd"); !strings.Contains(passwd, "\ndev:x:1000:1000::/home/dev:/bin/bash\n") {
		t.Errorf("/etc/passwd is\n%s", passwd)
	}
	if boot := debugfs(t, root, "ls -p /boot"); strings.Contains(boot, "vmlinuz") {
		t.Errorf("the image holds a kernel:\n%s", boot)
	}
	if _, err := os.Stat(filepath.Join(dir, image.SkelName, ".bashrc")); err != nil {
		t.Error(err)
	}
	if left := tree(t, dir); len(left) > 6 {
		t.Errorf("left behind: %v", left)
	}
}

// Cancelled while packages are unpacked, with /proc, /sys and /dev mounted.
func TestRealCancelLeavesNothing(t *testing.T) {
	for _, phase := range []string{"image: reading package lists", "image: installing"} {
		t.Run(phase, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("given up")
			_, err := realBuilder(t, "").Make(ctx, dir, func(p operation.Progress) {
				if p.Phase == phase && p.Done >= p.Total/4 {
					cancel(cause)
				}
			})
			if !errors.Is(err, cause) {
				t.Fatalf("got %v", err)
			}
			if left := tree(t, dir); len(left) > 0 {
				t.Fatalf("left behind: %v", left)
			}
			if mounts, err := mountsBelow(dir); err != nil || len(mounts) > 0 {
				t.Fatalf("still mounted: %v, %v", mounts, err)
			}
			if running := processesIn(t, dir); len(running) > 0 {
				t.Fatalf("still running: %v", running)
			}
		})
	}
}

// processesIn lists the processes whose command line or root is in dir.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range lines {
		line, _ := os.ReadFile(path) // it may have ended
		root, _ := os.Readlink(filepath.Join(filepath.Dir(path), "root"))
		if strings.Contains(string(line), dir) || strings.HasPrefix(root, dir) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
