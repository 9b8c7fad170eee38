package client

import (
	"context"
	"slices"
	"time"

	"github.com/banger-vm/banger/api"
)

// StatsOfRequest says of which VMs the numbers are wanted.
type StatsOfRequest struct {
	List    api.VMListRequest
	Keep    func(api.VM) bool // of those; nil for all
	Timeout time.Duration     // how long each guest may take; 0 is the daemon's default
}

// listedAnew is how often VMs may be removed between their list and their
// numbers, before that is an error.
const listedAnew = 20

// StatsOf returns the VMs of a list, and what they take and do, in the same
// order; of those that are removed meanwhile it tells nothing.
func (c *Client) StatsOf(ctx context.Context, req StatsOfRequest) ([]api.VM, []api.VMStats, error) {
	for try := 0; ; try++ {
		vms, err := c.VMList(ctx, req.List)
		if req.Keep != nil {
			vms = slices.DeleteFunc(vms, func(vm api.VM) bool { return !req.Keep(vm) })
		}
		if err != nil || len(vms) == 0 { // asked for none, the daemon tells of those that run
			return nil, nil, err
		}
		ids := make([]string, len(vms))
		for i, vm := range vms {
			ids[i] = vm.ID
		}
		stats, err := c.VMStats(ctx, api.VMStatsRequest{VMs: ids, TimeoutMS: req.Timeout.Milliseconds()})
		if api.KindOf(err) != api.KindNotFound || try == listedAnew {
			return vms, stats, err
		}
	}
}
