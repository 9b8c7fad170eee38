package store

import (
	"context"

	"github.com/banger-vm/banger/internal/image"
)

// InsertImage stores an image; the same one again is no error.
func (s *Store) InsertImage(ctx context.Context, i image.Image) error {
	return s.images.put(ctx, s, i.ID, i.Name, i)
}

// DeleteImage forgets an image.
func (s *Store) DeleteImage(ctx context.Context, id string) error { return s.images.delete(ctx, s, id) }

// Image finds an image by its name, its ID or a unique prefix of that.
func (s *Store) Image(ctx context.Context, ref string) (image.Image, error) {
	return s.images.get(ctx, s, ref)
}

// ImageByID finds an image by its ID.
func (s *Store) ImageByID(ctx context.Context, id string) (image.Image, error) {
	return s.images.byID(ctx, s, id)
}

// Images returns all images by name.
func (s *Store) Images(ctx context.Context) ([]image.Image, error) { return s.images.all(ctx, s) }
