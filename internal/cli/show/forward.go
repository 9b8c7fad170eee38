package show

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/api"
)

// HostEnd is where a forward begins, as a program of this host may be given it.
func HostEnd(f api.ForwardStatus) string {
	host, port := f.Address, strconv.Itoa(f.Port)
	if host == "" {
		host = "127.0.0.1"
	}
	switch {
	case f.Port == 0 && f.HostPort == 0:
		port = "any"
	case f.Port == 0:
		port = strconv.Itoa(f.HostPort)
	}
	return net.JoinHostPort(host, port)
}

// short is a forward in few letters: without the loopback's address.
func short(f api.ForwardStatus) string {
	end := HostEnd(f)
	if f.Address == "" {
		end = strings.TrimPrefix(end, "127.0.0.1:")
	}
	return end + "->" + strconv.Itoa(f.GuestPort)
}

// shortForwards is what a cell of a table shows of a VM's forwards.
func shortForwards(all []api.ForwardStatus) string {
	texts := make([]string, len(all))
	for i, f := range all {
		texts[i] = short(f)
	}
	return clip(strings.Join(texts, ","), 40)
}

// inspected is a line for each forward of a VM.
func inspected(vm api.VM) (fields []string) {
	for _, f := range vm.Forwards {
		text := short(f)
		if note := forwardState(f, vm.State == api.StateRunning); note != "listening" {
			text += " (" + note + ")"
		}
		fields = append(fields, "Forward", text)
	}
	if auto := vm.Spec.AutoForward; auto != nil && *auto {
		fields = append(fields, "Forward", "each port from 1024 on that the guest listens on")
	}
	return fields
}

// forwardState says what became of a forward; of a VM that does not run it is
// not told.
func forwardState(f api.ForwardStatus, runs bool) string {
	switch {
	case f.Error != "":
		return "waiting: " + f.Error
	case f.Auto:
		return "automatic"
	case f.Port != 0:
		return "listening"
	case runs:
		return "closed"
	}
	return "from the next start on"
}

// Forwards writes a table of the forwards of VMs.
func Forwards(w io.Writer, vms []api.VM) error {
	t := NewTable("VM", "HOST", "GUEST", "STATE")
	for _, vm := range vms {
		for _, f := range vm.Forwards {
			t.Row(vm.Name, HostEnd(f), strconv.Itoa(f.GuestPort), forwardState(f, vm.State == api.StateRunning))
		}
	}
	return t.Write(w)
}

// Ports writes a table of what listens in a VM and what leads there.
func Ports(w io.Writer, p api.VMPorts) error {
	t := NewTable("PORT", "ADDRESS", "PROGRAM", "USER", "HOST")
	led := map[int]bool{}
	for _, l := range p.Listeners {
		program := l.Process
		if l.PID != 0 {
			program = fmt.Sprintf("%s (%d)", program, l.PID)
		}
		host := ""
		if l.Network == "tcp" {
			led[l.Port] = true
			host = leading(p.Forwards, l.Port)
		}
		t.Row(fmt.Sprintf("%d/%s", l.Port, l.Network), l.Address, program, l.User, host)
	}
	rest := slices.DeleteFunc(slices.Clone(p.Forwards), func(f api.ForwardStatus) bool { return led[f.GuestPort] })
	for _, f := range rest {
		t.Row(fmt.Sprintf("%d/tcp", f.GuestPort), "", "nothing listens", "", leading([]api.ForwardStatus{f}, f.GuestPort))
	}
	return t.Write(w)
}

// leading are the ends of the forwards that lead to a port.
func leading(all []api.ForwardStatus, port int) string {
	var ends []string
	for _, f := range all {
		if f.GuestPort != port {
			continue
		}
		end := HostEnd(f)
		if f.Error != "" {
			end += " (" + forwardState(f, true) + ")"
		}
		if f.Connections > 0 {
			end += fmt.Sprintf(" (%d open)", f.Connections)
		}
		ends = append(ends, end)
	}
	return strings.Join(ends, ", ")
}
