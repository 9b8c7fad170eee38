package image_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
)

// slow is a store that waits once an image's row is gone.
type slow struct {
	*store.Store
	gone, goOn chan struct{}
}

func (s slow) DeleteImage(ctx context.Context, id string) error {
	err := s.Store.DeleteImage(ctx, id)
	close(s.gone)
	<-s.goOn
	return err
}

type nobody struct{}

func (nobody) Publish(event.Event) {}

// daemon is the part of one that deletes images: the image debian is there.
func daemon(t *testing.T) (*image.Registry, *operation.Registry, slow, string) {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), filepath.Join(dir, "banger.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := slow{db, make(chan struct{}), make(chan struct{})}
	images := image.NewRegistry(s, nil, log, image.Config{
		Dir: dir, Users: func(context.Context, string) ([]string, error) { return nil, nil },
	})
	ops := operation.New(db, claim.NewTable(), nobody{}, log, operation.Config{Planners: images.Planners()})
	t.Cleanup(func() {
		if err := errors.Join(ops.Close(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
	})
	img := image.Image{ID: "0123456789abcdef", Name: "debian"}
	if err := errors.Join(db.InsertImage(t.Context(), img), os.Mkdir(filepath.Join(dir, img.ID), 0o700)); err != nil {
		t.Fatal(err)
	}
	return images, ops, s, filepath.Join(dir, img.ID)
}

// An image whose row is gone cannot be brought back: a cancel would leave its
// files, which nobody finds any more.
func TestDeleteIsNotCancelledHalfway(t *testing.T) {
	images, ops, s, dir := daemon(t)
	op, err := images.Delete(t.Context(), "debian", "", ops)
	if err != nil {
		t.Fatal(err)
	}
	<-s.gone
	if _, err := ops.Cancel(t.Context(), op.ID); fault.KindOf(err) != fault.Precondition {
		t.Errorf("a cancel: %v", err)
	}
	close(s.goOn)
	if op, err = ops.Wait(t.Context(), op.ID); err != nil || op.State != operation.Succeeded {
		t.Errorf("%s: %v, %v", op.State, op.Error, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files: %v", err)
	}
}

// A client that lost its answer asks again, after the image is gone.
func TestRepeatedDelete(t *testing.T) {
	images, ops, s, _ := daemon(t)
	close(s.goOn)
	op, err := images.Delete(t.Context(), "debian", "key", ops)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Wait(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	again, err := images.Delete(t.Context(), "debian", "key", ops)
	if err != nil || again.ID != op.ID || again.State != operation.Succeeded {
		t.Errorf("again: %s %s, %v", again.ID, again.State, err)
	}
	if _, err := images.Delete(t.Context(), "debian", "another", ops); fault.KindOf(err) != fault.NotFound {
		t.Errorf("another delete: %v", err)
	}
}
