package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/banger-vm/banger/api"
)

// set changes a VM; one that runs has its processors at its next start.
func (f *fake) set(r api.VMSetRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	switch {
	case err != nil:
	case r.DiskBytes != 0 && r.DiskBytes < vm.Spec.DiskBytes:
		err = api.NewError(api.KindInvalid, "the work disk of "+vm.Name+" cannot become smaller", "Give it at least what it has.")
	case r.Restart == "sometimes":
		err = api.NewError(api.KindInvalid, `there is no restart policy "sometimes"`, "Use no, on-failure, on-failure:5 or always.")
	}
	if err != nil {
		return api.Operation{}, err
	}
	f.log = append(f.log, fmt.Sprintf("set %+v", r))
	op := f.begin(api.MethodVMSet, vm.Name, false, func() string { return vm.ID })
	if vm.Spec.Labels == nil {
		vm.Spec.Labels = map[string]string{}
	}
	for k, v := range r.Labels {
		vm.Spec.Labels[k] = v
	}
	for _, k := range r.Unlabel {
		delete(vm.Spec.Labels, k)
	}
	if r.Restart != "" {
		vm.Spec.Restart = r.Restart
		vm.Comeback = &api.Comeback{Restarts: 3, NextAt: time.Now().Add(time.Minute), Why: "the guest's kernel panicked\x1b"}
	}
	if r.Autostart != nil {
		vm.Spec.Autostart = *r.Autostart
	}
	if r.CPUs != 0 {
		was := vm.Spec
		vm.Spec.CPUs = r.CPUs
		if vm.State == api.StateRunning {
			vm.Boot.CPUs, vm.Boot.MemoryBytes, vm.Boot.DiskBytes, vm.Boot.Network = was.CPUs, was.MemoryBytes, was.DiskBytes, was.Network
			vm.Pending = []string{"cpus"}
			f.ops[len(f.ops)-1].Result = json.RawMessage(fmt.Sprintf(`{"id":%q,"changed":["cpus"],"pending":["cpus"]}`, vm.ID))
		}
	}
	return op, nil
}

func (f *fake) reset(r api.VMResetRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	if err == nil && vm.State == api.StateRunning && !r.Force {
		err = api.NewError(api.KindFailedPrecondition, "the VM "+vm.Name+" is running", "Stop it first, or use: banger reset -f "+vm.Name)
	}
	if err != nil {
		return api.Operation{}, err
	}
	f.log = append(f.log, fmt.Sprintf("within %d ms", r.TimeoutMS))
	return f.begin(api.MethodVMReset, vm.Name, vm.Name == "slow", func() string { return vm.ID }), nil
}
