package client

import (
	"context"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/rpc/rpcserver"
)

// A VM that somebody removes in between keeps nothing from being told.
func TestUnusedWhileVMsGo(t *testing.T) {
	vms := []api.VM{{ID: "1", Name: "goes", State: api.StateStopped}, {ID: "2", Name: "stays", State: api.StateFailed}}
	vms = append(vms, api.VM{ID: "3", Name: "runs", State: api.StateRunning}, api.VM{ID: "4", Name: "held", State: api.StateStopped, Operation: "op"})
	vms = append(vms, api.VM{ID: "5", Name: "back", State: api.StateFailed, Comeback: &api.Comeback{NextAt: time.Now()}})
	socket := socketPath(t)
	daemon(t, socket, map[string]rpcserver.Handler{
		api.MethodVMList: rpcserver.Bind(func(context.Context, api.VMListRequest) (api.VMList, error) { return api.VMList{VMs: vms}, nil }),
		api.MethodVMStats: rpcserver.Bind(func(_ context.Context, r api.VMStatsRequest) (list api.VMStatsList, _ error) {
			if r.VMs[0] == "1" {
				vms = vms[1:]
				return list, api.NewError(api.KindNotFound, "there is no VM 1", "")
			}
			for _, id := range r.VMs {
				list.VMs = append(list.VMs, api.VMStats{ID: id, State: api.StateFailed, Disks: []api.DiskStats{{UsedBytes: 7}, {UsedBytes: 9, Shared: true}}})
			}
			return list, nil
		}),
		api.MethodImageList: rpcserver.Bind(func(context.Context, api.Empty) (api.ImageList, error) {
			return api.ImageList{Images: []api.Image{{ID: "i1", VMs: []string{"stays"}}, {ID: "i2", VMs: []string{"stays", "held"}}}}, nil
		}),
	})
	c := New(Config{Socket: socket})
	defer c.Close()
	all, err := c.Unused(t.Context(), UnusedRequest{Images: true})
	if err != nil || len(all) != 2 || all[0].ID != "2" || all[0].UsedBytes != 7 || all[1].ID != "i1" {
		t.Errorf("%+v, %v", all, err)
	}
}
