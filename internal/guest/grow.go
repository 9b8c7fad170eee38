package guest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// Grow has the guest grow the file system of its work disk, whose drive has
// sizeBytes now, and returns how large that is then. A guest of an older banger
// does not know how: fault.Precondition.
func (c *Client) Grow(ctx context.Context, sizeBytes int64) (int64, error) {
	var grown wire.Grown
	err := c.call(ctx, http.MethodPost, wire.PathGrow, wire.Grow{SizeBytes: sizeBytes}, &grown)
	if err != nil {
		return 0, err
	}
	if grown.SizeBytes <= 0 || grown.SizeBytes > sizeBytes {
		return 0, fmt.Errorf("the guest's agent told an impossible size of its work disk: %d bytes of %d", grown.SizeBytes, sizeBytes)
	}
	return grown.SizeBytes, nil
}
