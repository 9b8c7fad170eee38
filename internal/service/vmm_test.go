package service

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/internal/vmm/choose"
)

func TestVMMOnTheWire(t *testing.T) {
	info := vmm.Info{
		Name: "big", Version: "7", Path: "/big",
		Accels:    map[vmm.Accel]string{vmm.AccelKVM: "no device", vmm.AccelTCG: ""},
		Isolation: map[vmm.Accel]vmm.Isolation{vmm.AccelKVM: vmm.IsolationSandbox, vmm.AccelTCG: vmm.IsolationNoPromise},
	}
	untried := info
	untried.Accels = map[vmm.Accel]string{vmm.AccelKVM: vmm.NotTried}
	for name, tc := range map[string]struct {
		in   VMM
		want api.VMM
	}{
		"the usual one": {
			VMM{Name: "big", By: "PATH", Info: info, Networks: []string{"none"}, Usual: &choose.Choice{VMM: "big", Why: "chosen: small is gone", Accel: vmm.AccelTCG}},
			api.VMM{Name: "big", Version: "7", Path: "/big", FoundBy: "PATH", Networks: []string{"none"}, Accels: []api.VMMAccel{
				{Name: "kvm", Reason: "no device"},
				{Name: "tcg", Works: true, Isolation: "big/tcg (no security promise)", Default: true, Why: "small is gone"},
			}},
		},
		"what is not known is no default": {
			VMM{Name: "big", By: "PATH", Info: untried, Usual: &choose.Choice{VMM: "big", Accel: vmm.AccelKVM}},
			api.VMM{Name: "big", Version: "7", Path: "/big", FoundBy: "PATH", Accels: []api.VMMAccel{
				{Name: "kvm", NotTried: true, Reason: vmm.NotTried, Isolation: "big/kvm sandboxed"},
			}},
		},
		"one that does not work": {
			VMM{Name: "small", By: "config.toml", Err: fmt.Errorf("looking: %w", fault.New(fault.Precondition, "Install it.", "it is gone"))},
			api.VMM{Name: "small", FoundBy: "config.toml", Error: &api.Error{Kind: api.KindFailedPrecondition, Message: "looking: it is gone", Hint: "Install it."}},
		},
	} {
		if got := vmmFrom(tc.in); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}
