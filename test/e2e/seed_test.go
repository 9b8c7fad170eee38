package e2e

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/banger-vm/banger/test/seedstate"
)

// templateDir is where the seed lies on the same file system as all states.
var templateDir string

// copied copies the seed that BANGER_TEST_SEED names, or what is needed of it,
// once: where all is emulated an image takes its time.
func copied(name string, copySeed func(ctx context.Context, seed, dir string) error) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir := filepath.Join(templateDir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", err
		}
		return dir, copySeed(context.Background(), os.Getenv("BANGER_TEST_SEED"), dir)
	})
}

var (
	wholeSeed   = copied("whole", seedstate.Copy)
	seedKernels = copied("kernels", seedstate.CopyKernels)
)

// seed gives a new state the image and the kernel, if there is a seed.
func (e *env) seed() error { return e.seedWith(wholeSeed, seedstate.Link) }

func (e *env) seedWith(template func() (string, error), link func(ctx context.Context, copied, state string) error) error {
	if os.Getenv("BANGER_TEST_SEED") == "" {
		return nil
	}
	dir, err := template()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return link(ctx, dir, e.state())
}

// withBusybox makes an environment of this test's own whose one image is of
// busybox alone, for tests that need no more: where all is emulated it boots a
// minute sooner.
func withBusybox(t *testing.T, extra ...string) *env {
	t.Helper()
	e := bare(t, extra...)
	if err := e.seedWith(seedKernels, seedstate.LinkKernels); err != nil {
		t.Fatal(err)
	}
	e.busyboxImage(t, "b1", "debian", false)
	return e
}

// debian makes the usual image, unless a seed has brought it.
func (e *env) debian(t *testing.T) {
	t.Helper()
	if r := e.banger(t, "image", "bootstrap", "debian"); r.code != 0 && r.code != 4 {
		t.Fatalf("making the image: %s", r)
	}
}
