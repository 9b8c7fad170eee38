package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/banger-vm/banger/internal/guest/wire"
)

var errGrown = errors.New("the guest's agent told an impossible size of its work disk")

// Grow has the guest grow the file system of its work disk, whose drive has
// sizeBytes now, and returns how large that is then. A guest of an older banger
// does not know how: fault.Precondition.
func (c *Client) Grow(ctx context.Context, sizeBytes int64) (int64, error) {
	var answer json.RawMessage
	if err := c.call(ctx, http.MethodPost, wire.PathGrow, wire.Grow{SizeBytes: sizeBytes}, &answer); err != nil {
		return 0, err
	}
	return decodeGrown(answer, sizeBytes)
}

// decodeGrown reads what the agent tells, and refuses what none of ours would.
func decodeGrown(answer []byte, sizeBytes int64) (int64, error) {
	var g wire.Grown
	if err := json.Unmarshal(answer, &g); err != nil {
		return 0, fmt.Errorf("%w: %w", errGrown, err)
	}
	if g.SizeBytes <= 0 || g.SizeBytes > sizeBytes {
		return 0, fmt.Errorf("%w: %d bytes of %d", errGrown, g.SizeBytes, sizeBytes)
	}
	return g.SizeBytes, nil
}
