package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/store"
)

// templateDir is where the seed lies on the same file system as all states.
var templateDir string

// template copies the seed that BANGER_TEST_SEED names, a kernels/ as a state
// has it and an image/ as the cache has it. Where all is emulated each new
// state would take minutes to make these.
var template = sync.OnceValue(func() error {
	var err error
	if templateDir, err = os.MkdirTemp("", "banger-e2e-seed-"); err != nil {
		return err
	}
	return cp("-r", "--sparse=always", os.Getenv("BANGER_TEST_SEED")+"/.", templateDir)
})

func cp(args ...string) error {
	if out, err := exec.Command("cp", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return nil
}

// seed gives a new state the image and the kernel, if there is a seed.
func (e *env) seed() error {
	if os.Getenv("BANGER_TEST_SEED") == "" {
		return nil
	}
	if err := template(); err != nil {
		return err
	}
	var entry struct{ Image image.Image }
	raw, err := os.ReadFile(filepath.Join(templateDir, "image/entry.json"))
	if err == nil {
		err = json.Unmarshal(raw, &entry)
	}
	if err != nil {
		return err
	}
	img := entry.Image
	img.ID, img.Name, img.CreatedAt = "5eed5eed5eed", image.Default, time.Now().UTC()
	images := filepath.Join(e.state(), "images")
	err = errors.Join(
		os.MkdirAll(images, 0o700),
		cp("-al", filepath.Join(templateDir, "kernels"), e.state()),
		cp("-al", filepath.Join(templateDir, "image"), filepath.Join(images, img.ID)),
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := store.Open(ctx, filepath.Join(e.state(), "banger.db"))
	if err != nil {
		return err
	}
	return errors.Join(db.InsertImage(ctx, img), db.Close())
}
