package cli

import (
	"fmt"
	"slices"

	"github.com/banger-vm/banger/api"
)

// listen gives a VM forwards: one of any port has 40000 and how many it has.
func (f *fake) listen(vm *api.VM, all []api.Forward) {
	for _, a := range all {
		s := api.ForwardStatus{Address: a.Address, HostPort: a.HostPort, GuestPort: a.GuestPort}
		if vm.State == api.StateRunning {
			if s.Port = a.HostPort; s.Port == 0 {
				s.Port = 40000 + len(vm.Forwards)
			}
		}
		vm.Forwards = append(vm.Forwards, s)
	}
}

// relisten is what a start does to the forwards of a VM.
func (f *fake) relisten(vm *api.VM) {
	before := vm.Forwards
	vm.Forwards = nil
	for _, s := range before {
		f.listen(vm, []api.Forward{{Address: s.Address, HostPort: s.HostPort, GuestPort: s.GuestPort}})
	}
}

func (f *fake) forward(r api.VMForwardAddRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	if err != nil {
		return api.Operation{}, err
	}
	return f.begin("vm.forward", vm.Name, false, func() string {
		if r.Auto != nil {
			vm.Spec.AutoForward = r.Auto
		}
		f.listen(vm, r.Forwards)
		return vm.ID
	}), nil
}

func (f *fake) unforward(r api.VMForwardRemoveRequest) (api.Operation, error) {
	vm, err := f.find(r.VM)
	if err != nil {
		return api.Operation{}, err
	}
	for _, w := range r.Forwards {
		before := len(vm.Forwards)
		vm.Forwards = slices.DeleteFunc(vm.Forwards, func(s api.ForwardStatus) bool { return s.Port == w.HostPort })
		if len(vm.Forwards) == before {
			return api.Operation{}, api.NewError(api.KindNotFound, fmt.Sprintf("the VM has no forward of port %d", w.HostPort), "")
		}
	}
	return f.begin("vm.forward", vm.Name, false, func() string { return vm.ID }), nil
}

func (f *fake) ports(r api.VMRef) (api.VMPorts, error) {
	if _, err := f.connect(api.VMConnectRequest{VM: r.VM}); err != nil {
		return api.VMPorts{}, err
	}
	vm, err := f.find(r.VM)
	ports := api.VMPorts{More: true, Forwards: slices.Clone(vm.Forwards), Listeners: []api.Listener{
		{Network: "tcp", Address: "0.0.0.0", Port: 22, PID: 7, Process: "sshd", User: "root"},
		{Network: "udp", Address: "0.0.0.0", Port: 68, Process: "dh\x1b[2J", User: "root"},
	}}
	for i := range ports.Forwards {
		if ports.Forwards[i].GuestPort == 22 {
			ports.Forwards[i].Connections = 2
		}
	}
	return ports, err
}
