package kernel

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/fault"
)

// initramfsRecipe is the version of the initramfs's form.
const initramfsRecipe = "banger-initramfs-1\n"

// unusedFor is how long an initramfs that nobody asked for is kept: a VM that
// runs still needs its own when it reboots.
const unusedFor = 60 * 24 * time.Hour

// Initramfs returns the initramfs of k with guestBinary as its /init, making
// it first where it is not there.
func (l *Library) Initramfs(ctx context.Context, k Kernel, guestBinary string) (string, error) {
	guest, err := l.fileDigest(guestBinary)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.Precondition, "Run make build, or install banger whole.", "the guest program %s is missing", guestBinary)
	}
	if err != nil {
		return "", fmt.Errorf("reading the guest program: %w", err)
	}
	sum := sha256.Sum256([]byte(initramfsRecipe + k.ID + "\n" + guest))
	dir := filepath.Dir(k.Vmlinux)
	path := filepath.Join(dir, "initramfs-"+hex.EncodeToString(sum[:])[:idLength]+".cpio")
	if touch(path) == nil {
		return path, nil
	}
	release, err := l.claim(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	if touch(path) == nil {
		return path, nil
	}
	if err := writeInitramfs(path, filepath.Join(dir, modulesDir), k.Modules, guestBinary, guest); err != nil {
		return "", fmt.Errorf("making the initramfs: %w", err)
	}
	return path, dropUnused(dir, l.log)
}

// touch says that an initramfs is in use; an error if it is not there.
func touch(path string) error {
	now := time.Now()
	return os.Chtimes(path, now, now)
}

func writeInitramfs(path, modules string, names []string, guestBinary, digest string) (err error) {
	init, err := os.ReadFile(guestBinary)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(init); hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("%s changed while it was read", guestBinary)
	}
	tmp, err := os.CreateTemp(filepath.Dir(filepath.Dir(path)), scratch) // where sweep finds it
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	w := bufio.NewWriterSize(tmp, 1<<20)
	load := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(modules, name)) }
	err = WriteInitramfs(w, init, names, load)
	if err = errors.Join(err, w.Flush(), tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// WriteInitramfs writes the cpio: init, the modules under /modules, and
// /modules.list with their names in the order of insertion.
func WriteInitramfs(w io.Writer, init []byte, names []string, load func(name string) ([]byte, error)) error {
	a := &archive{w: w}
	for _, dir := range []string{"dev", "modules", "newroot", "proc", "run", "sys"} {
		a.dir(dir)
	}
	a.char("dev/console", 0o600, 5, 1)
	a.file("init", 0o755, init)
	for _, name := range names {
		body, err := load(name)
		if err != nil {
			return err
		}
		a.file("modules/"+name, 0o644, body)
	}
	a.file("modules.list", 0o644, []byte(strings.Join(append(names[:len(names):len(names)], ""), "\n")))
	return a.close()
}

// dropUnused removes initramfs files that nobody asked for in a long time.
func dropUnused(dir string, log *slog.Logger) error {
	files, err := filepath.Glob(filepath.Join(dir, "initramfs-*.cpio"))
	if err != nil {
		return err
	}
	for _, file := range files {
		st, err := os.Stat(file)
		if err != nil || time.Since(st.ModTime()) < unusedFor {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		log.Info("unused initramfs removed", "file", file)
	}
	return nil
}

// fileKey changes when a file does.
type fileKey struct {
	path    string
	size    int64
	changed time.Time
}

// fileDigest hashes a file, once for as long as it stays the same.
func (l *Library) fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	key := fileKey{path, st.Size(), st.ModTime()}
	l.mu.Lock()
	known, ok := l.digests[key]
	l.mu.Unlock()
	if ok {
		return known, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	l.mu.Lock()
	clear(l.digests) // one guest program at a time is all there is
	l.digests[key] = sum
	l.mu.Unlock()
	return sum, nil
}
