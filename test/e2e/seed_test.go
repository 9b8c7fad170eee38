package e2e

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/test/seedstate"
)

// templateDir is where the seed lies on the same file system as all states.
var templateDir string

// template copies the seed that BANGER_TEST_SEED names.
var template = sync.OnceValue(func() error {
	var err error
	if templateDir, err = os.MkdirTemp("", "banger-e2e-seed-"); err != nil {
		return err
	}
	return seedstate.Copy(context.Background(), os.Getenv("BANGER_TEST_SEED"), templateDir)
})

// seed gives a new state the image and the kernel, if there is a seed.
func (e *env) seed() error {
	if os.Getenv("BANGER_TEST_SEED") == "" {
		return nil
	}
	if err := template(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return seedstate.Link(ctx, templateDir, e.state())
}

// debian makes the usual image, unless a seed has brought it.
func (e *env) debian(t *testing.T) {
	t.Helper()
	if r := e.banger(t, "image", "bootstrap", "debian"); r.code != 0 && r.code != 4 {
		t.Fatalf("making the image: %s", r)
	}
}
