package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/operation"
)

// maxAge is how long a cached image is good: packages get security fixes.
const maxAge = 14 * 24 * time.Hour

// entry describes a cached image; the file is written last.
type entry struct {
	Image  image.Image `json:"image"`
	MadeAt time.Time   `json:"made_at"`
	Seal   string      `json:"seal"` // see seal
}

const entryFile = "entry.json"

// Cached says whether the next Make finds its image in the cache.
func (b *Builder) Cached(ctx context.Context) (bool, error) {
	if b.cfg.CacheDir == "" {
		return false, nil
	}
	r, err := b.recipe(ctx)
	if err != nil {
		return false, err
	}
	_, err = readEntry(filepath.Join(b.cfg.CacheDir, r.digest), b.cfg.Now())
	return err == nil, nil
}

// fromCache puts a cached image into dir; fs.ErrNotExist if there is none. A
// damaged or old one is removed.
func (b *Builder) fromCache(ctx context.Context, r recipe, dir string, report operation.Report) (image.Image, error) {
	none := fmt.Errorf("the image is not in the cache: %w", fs.ErrNotExist)
	if b.cfg.CacheDir == "" {
		return image.Image{}, none
	}
	at := filepath.Join(b.cfg.CacheDir, r.digest)
	e, err := readEntry(at, b.cfg.Now())
	if err == nil {
		err = b.take(ctx, e, at, dir, report)
	}
	if err == nil {
		_, e.Image.UsedBytes, err = usage(filepath.Join(dir, image.RootFile))
	}
	if err == nil || ctx.Err() != nil {
		return e.Image, err
	}
	if !errors.Is(err, errDamaged) && !errors.Is(err, fs.ErrNotExist) { // a full disk, say: the entry is good
		return image.Image{}, errors.Join(fmt.Errorf("copying the image from the cache: %w", err), clearDir(dir))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		b.log.Info("the cached image is not used and is removed", "cache", at, "reason", err)
	}
	if err := errors.Join(os.RemoveAll(at), clearDir(dir)); err != nil {
		return image.Image{}, err
	}
	return image.Image{}, none
}

// errDamaged says that an entry is of no more use.
var errDamaged = errors.New("the cached image is damaged or too old")

func readEntry(at string, now time.Time) (entry, error) {
	var e entry
	raw, err := os.ReadFile(filepath.Join(at, entryFile))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("%w: %s: %w", errDamaged, entryFile, err)
	}
	if age := now.Sub(e.MadeAt); age > maxAge || age < -time.Hour {
		return e, fmt.Errorf("%w: it is of %s", errDamaged, e.MadeAt.Format(time.DateOnly))
	}
	return e, nil
}

// take copies a cached image to dir and checks it on the way.
func (b *Builder) take(ctx context.Context, e entry, at, dir string, report operation.Report) error {
	digest, err := copySparse(ctx, filepath.Join(at, image.RootFile), filepath.Join(dir, image.RootFile), func(done, total int64) {
		report(operation.Progress{Phase: "image: copying from the cache", Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return err
	}
	skel := filepath.Join(dir, image.SkelName)
	if err := os.CopyFS(skel, os.DirFS(filepath.Join(at, image.SkelName))); err != nil {
		return err
	}
	sum, err := seal(e, digest, skel)
	if err == nil && sum != e.Seal {
		err = fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	return err
}

// seal is the digest of all that an entry holds.
func seal(e entry, rootDigest, skel string) (string, error) {
	e.Seal = ""
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(e); err != nil {
		return "", err
	}
	fmt.Fprintln(h, rootDigest)
	tree := os.DirFS(skel)
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		body, err := fs.ReadFile(tree, path)
		fmt.Fprintf(h, "%q %d\n%s", path, len(body), body)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// toCache keeps a copy of the image in dir.
func (b *Builder) toCache(ctx context.Context, r recipe, dir string, img image.Image, report operation.Report) error {
	if b.cfg.CacheDir == "" {
		return nil
	}
	if err := os.MkdirAll(b.cfg.CacheDir, 0o700); err != nil {
		return err
	}
	b.dropOld()
	tmp, err := os.MkdirTemp(b.cfg.CacheDir, scratchPrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // renamed, or of no use; what stays is dropped as old
	e := entry{Image: img, MadeAt: b.cfg.Now().UTC().Round(0)}
	digest, err := copySparse(ctx, filepath.Join(dir, image.RootFile), filepath.Join(tmp, image.RootFile), func(done, total int64) {
		report(operation.Progress{Phase: "image: copying to the cache", Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return err
	}
	skel := filepath.Join(tmp, image.SkelName)
	if err := os.CopyFS(skel, os.DirFS(filepath.Join(dir, image.SkelName))); err != nil {
		return err
	}
	if e.Seal, err = seal(e, digest, skel); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, entryFile), raw, 0o600); err != nil {
		return err
	}
	err = os.Rename(tmp, filepath.Join(b.cfg.CacheDir, r.digest))
	if errors.Is(err, fs.ErrExist) {
		return nil // another daemon was faster
	}
	return err
}

// dropOld removes what nobody will take from the cache any more.
func (b *Builder) dropOld() {
	entries, err := os.ReadDir(b.cfg.CacheDir)
	if err != nil {
		b.log.Warn("the image cache cannot be read", "err", err)
	}
	for _, d := range entries {
		st, err := d.Info()
		if err != nil || b.cfg.Now().Sub(st.ModTime()) < maxAge {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.cfg.CacheDir, d.Name())); err != nil {
			b.log.Warn("an old cached image cannot be removed", "err", err)
		}
	}
}

// clearDir empties a directory.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, d := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, d.Name())))
	}
	return err
}
