package show

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/size"
)

// has is what a VM runs with, or is to be started with.
func has(vm api.VM) api.VMSpec {
	s := vm.Spec
	if b := vm.Boot; b != nil && len(vm.Pending) > 0 {
		s.CPUs, s.MemoryBytes, s.DiskBytes, s.Network, s.AllowHosts = b.CPUs, b.MemoryBytes, b.DiskBytes, b.Network, b.AllowHosts
	}
	return s
}

// pendingFields say what a running VM is to have at its next start.
func pendingFields(vm api.VM) (fields []string) {
	for _, field := range vm.Pending {
		text := ""
		switch field {
		case "cpus":
			text = strconv.Itoa(vm.Spec.CPUs) + " CPUs"
		case "memory":
			text = size.Format(vm.Spec.MemoryBytes) + " of memory"
		case "disk":
			text = size.Format(vm.Spec.DiskBytes) + " for work"
		case "network":
			text = "network " + vm.Spec.Network
		case "allow_hosts":
			text = "no exceptions from its network"
			if len(vm.Spec.AllowHosts) > 0 {
				text = "may reach " + strings.Join(vm.Spec.AllowHosts, ", ")
			}
		default: // of a newer daemon
			text = field
		}
		fields = append(fields, "Pending", text+", at its next start")
	}
	return fields
}

// comebackFields say what starts a VM unasked, and how far that has come.
func comebackFields(vm api.VM) (fields []string) {
	if vm.Spec.Autostart {
		fields = append(fields, "Autostart", "with the host")
	}
	policy := vm.Spec.Restart
	if policy == "" && vm.Comeback == nil {
		return fields
	}
	if policy == "" {
		policy = "no"
	}
	if b := vm.Comeback; b != nil {
		if b.Restarts > 0 {
			policy += fmt.Sprintf(", %s so far", times(b.Restarts))
		}
		switch {
		case b.GaveUp:
			policy += ", given up: " + b.Why
		case !b.NextAt.IsZero():
			policy += fmt.Sprintf(", again at %s: %s", b.NextAt.Local().Format("15:04:05"), b.Why)
		}
	}
	return append(fields, "Restart", policy)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
