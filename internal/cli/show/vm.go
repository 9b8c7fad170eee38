package show

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/size"
)

// VMs writes a table of VMs.
func VMs(w io.Writer, now time.Time, vms []api.VM) error {
	header := []string{"NAME", "ID", "IMAGE", "CPUS", "MEMORY", "CREATED", "ISOLATION", "STATE"}
	ports := slices.ContainsFunc(vms, func(vm api.VM) bool { return len(vm.Forwards) > 0 })
	if ports { // mostly there are none, and lines are long
		header = slices.Insert(header, len(header)-1, "PORTS")
	}
	t := NewTable(header...)
	for _, vm := range vms {
		state := string(vm.State)
		if vm.Reason != "" {
			state += " (" + clip(vm.Reason, 60) + ")"
		}
		row := []string{
			vm.Name, Short(vm.ID), vm.Spec.Image, strconv.Itoa(has(vm).CPUs), size.Format(has(vm).MemoryBytes),
			Age(now.Sub(vm.CreatedAt)) + " ago", vm.Isolation, state,
		}
		if ports {
			row = slices.Insert(row, len(row)-1, shortForwards(vm.Forwards))
		}
		t.Row(row...)
	}
	return t.Write(w)
}

// clip shortens what would not fit a table.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// VM writes a VM in full.
func VM(w io.Writer, vm api.VM) error {
	labels := make([]string, 0, len(vm.Spec.Labels))
	for k, v := range vm.Spec.Labels {
		labels = append(labels, k+"="+v)
	}
	slices.Sort(labels)
	disk := size.Format(has(vm).DiskBytes)
	if vm.Spec.DiskDriver != "" {
		disk += " for work, root by " + vm.Spec.DiskDriver
	}
	fields := []string{
		"Name", vm.Name, "ID", vm.ID, "State", string(vm.State), "Reason", vm.Reason, "Operation", vm.Operation,
		"Image", strings.TrimSpace(vm.Spec.Image + " " + Short(vm.ImageID)), "Kernel", strings.TrimSpace(vm.Spec.Kernel + " " + Short(vm.KernelID)), "User", vm.User,
		"CPUs", strconv.Itoa(has(vm).CPUs), "Memory", size.Format(has(vm).MemoryBytes), "Disk", disk,
		"Network", has(vm).Network, "VMM", vmm(vm), "Isolation", vm.Isolation, "Labels", strings.Join(labels, ", "),
		"Created", vm.CreatedAt.Local().Format("2006-01-02 15:04:05"), "Directory", vm.Dir,
	}
	fields = append(fields, pendingFields(vm)...)
	fields = append(fields, comebackFields(vm)...)
	fields = append(fields, inspected(vm)...)
	fields = append(fields, authFields(vm.Auth)...)
	if vm.Boot != nil {
		fields = append(fields, bootFields(*vm.Boot)...)
	}
	for _, r := range vm.Reaches {
		fields = append(fields, "Reaches", r)
	}
	if vm.Refused != nil {
		fields = append(fields, refusedFields(*vm.Refused)...)
	}
	for _, r := range vm.Reduced {
		fields = append(fields, "Reduced", r)
	}
	return Fields(w, fields...)
}

func refusedFields(r api.VMRefused) (fields []string) {
	for _, c := range r.Counts {
		fields = append(fields, "Refused", fmt.Sprintf("%d (%s)", c.Count, c.Why))
	}
	for _, a := range r.Last {
		fields = append(fields, "Refused last", fmt.Sprintf("%s %s at %s (%s)", a.Protocol, a.To, a.At.Local().Format("15:04:05"), a.Why))
	}
	return fields
}

// vmm names the VMM, with its version in the last boot, and why it is that one.
func vmm(vm api.VM) string {
	text := vm.Spec.VMM
	if vm.Boot != nil && vm.Boot.VMM == text {
		text = strings.TrimSpace(text + " " + vm.Boot.VMMVersion)
	}
	if vm.VMMWhy != "" {
		text += " (" + vm.VMMWhy + ")"
	}
	return text
}

func bootFields(b api.Boot) []string {
	phases := []string{}
	for _, p := range []struct {
		name string
		ms   float64
	}{
		{"disk", b.Timings.DiskMS},
		{"spawn", b.Timings.SpawnMS},
		{"kernel", b.Timings.KernelMS},
		{"init", b.Timings.InitMS},
		{"agent ready", b.Timings.AgentReadyMS},
		{"system ready", b.Timings.SystemReadyMS},
	} {
		if p.ms > 0 {
			phases = append(phases, p.name+" "+Millis(p.ms))
		}
	}
	fields := []string{
		"Acceleration", b.Accel, "Boot", b.ID,
		"Guest boot", b.GuestBoot, "Guest kernel", b.Kernel, "Guest agent", b.Agent, "Started", b.StartedAt.Local().Format("2006-01-02 15:04:05"),
		"Timings", strings.Join(phases, ", "),
	}
	if b.VMMPID > 0 {
		fields = append(fields, "Processes", fmt.Sprintf("VMM %d, monitor %d", b.VMMPID, b.MonitorPID),
			"Units", strings.Join(b.Units, ", "))
	}
	if !b.EndedAt.IsZero() {
		fields = append(fields, "Ended", b.EndedAt.Local().Format("2006-01-02 15:04:05"), "Ended because", b.ExitReason)
	}
	return fields
}
