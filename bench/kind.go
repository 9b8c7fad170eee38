package main

import (
	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/vmm/firecracker"
)

// kind is what VMs are asked for; "" is what banger chooses.
type kind struct {
	vmm, network string
}

func kindOf(vmm string) kind {
	k := kind{vmm: vmm}
	if vmm == firecracker.DriverName {
		k.network = "none" // as the floor has it
	}
	return k
}

func (k kind) flags() (out []string) {
	if k.vmm != "" {
		out = append(out, "--vmm", k.vmm)
	}
	if k.network != "" {
		out = append(out, "--network", k.network)
	}
	return out
}

func (k kind) spec(name string) api.VMSpec {
	return api.VMSpec{Name: name, VMM: k.vmm, Network: k.network}
}

// limits are those of the ratios to the floor.
type limits struct {
	cold, exec, hello, remove float64
}

func limitsOf(driver string) limits {
	l := limits{cold: 1.25, exec: 1.3, hello: 4}
	if driver == firecracker.DriverName {
		l.cold, l.remove = 1.2, 2
	}
	return l
}
