// Package seedstate gives new states what a seed has made already: a kernels/
// as a state has it and an image/ as the cache has it. Where all is emulated
// each new state would take minutes to make these.
package seedstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/store"
)

// Copy copies a seed into dir, which is to be on the file system of the states.
func Copy(ctx context.Context, seed, dir string) error {
	return cp(ctx, "-r", "--sparse=always", seed+"/.", dir)
}

// CopyKernels copies what is soon copied.
func CopyKernels(ctx context.Context, seed, dir string) error {
	return cp(ctx, "-r", "--sparse=always", filepath.Join(seed, "kernels"), dir)
}

// LinkKernels gives a new state the kernel of a copied seed.
func LinkKernels(ctx context.Context, copied, state string) error {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	return cp(ctx, "-al", filepath.Join(copied, "kernels"), state)
}

// Link gives a new state the image and the kernel of a copied seed.
func Link(ctx context.Context, copied, state string) error {
	return errors.Join(
		LinkKernels(ctx, copied, state),
		addImage(ctx, "-al", filepath.Join(copied, "image"), state, "5eed5eed5eed5eed", image.Default),
	)
}

// AddImage gives a new state a copy of an image, in dir as the cache has it,
// besides the one of the seed.
func AddImage(ctx context.Context, dir, state, name string) error {
	return addImage(ctx, "-r", dir, state, "5eed5eed5eed0add", name)
}

func addImage(ctx context.Context, how, dir, state, id, name string) error {
	var entry struct{ Image image.Image }
	raw, err := os.ReadFile(filepath.Join(dir, "entry.json"))
	if err == nil {
		err = json.Unmarshal(raw, &entry)
	}
	if err != nil {
		return err
	}
	img := entry.Image
	img.ID, img.Name, img.CreatedAt = id, name, time.Now().UTC()
	images := filepath.Join(state, "images")
	if err := os.MkdirAll(images, 0o700); err != nil {
		return err
	}
	if err := cp(ctx, how, "--sparse=always", dir, filepath.Join(images, id)); err != nil {
		return err
	}
	db, err := store.Open(ctx, filepath.Join(state, "banger.db"))
	if err != nil {
		return err
	}
	return errors.Join(db.InsertImage(ctx, img), db.Close())
}

func cp(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "cp", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return nil
}
