package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

func newInspect(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect [flags] VM…",
		Short: "Show VMs in full",
		Args:  takes(1, -1, "the VM's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var vms []api.VM
			for _, name := range args {
				vm, err := c.VMInspect(cmd.Context(), name)
				if err != nil {
					return err
				}
				vms = append(vms, vm)
			}
			switch {
			case asJSON && len(vms) == 1:
				return a.json(vms[0])
			case asJSON:
				return a.json(vms)
			}
			for i, vm := range vms {
				if i > 0 {
					fmt.Fprintln(a.out)
				}
				if err := a.vmFields(vm); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: a.completeVMs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON: an object, an array for several")
	return cmd
}

func (a *app) vmFields(vm api.VM) error {
	labels := make([]string, 0, len(vm.Spec.Labels))
	for k, v := range vm.Spec.Labels {
		labels = append(labels, k+"="+v)
	}
	slices.Sort(labels)
	disk := show.Size(vm.Spec.DiskBytes)
	if vm.Spec.DiskDriver != "" {
		disk += " for work, root by " + vm.Spec.DiskDriver
	}
	fields := []string{
		"Name", vm.Name, "ID", vm.ID, "State", string(vm.State), "Reason", vm.Reason, "Operation", vm.Operation,
		"Image", strings.TrimSpace(vm.Spec.Image + " " + short(vm.ImageID)), "Kernel", vm.KernelID, "User", vm.User,
		"CPUs", strconv.Itoa(vm.Spec.CPUs), "Memory", show.Size(vm.Spec.MemoryBytes), "Disk", disk,
		"Network", vm.Spec.Network, "Labels", strings.Join(labels, ", "),
		"Created", vm.CreatedAt.Local().Format("2006-01-02 15:04:05"), "Directory", vm.Dir,
	}
	if vm.Boot != nil {
		fields = append(fields, bootFields(*vm.Boot)...)
	}
	for _, r := range vm.Reduced {
		fields = append(fields, "Reduced", r)
	}
	return show.Fields(a.out, fields...)
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
			phases = append(phases, p.name+" "+show.Millis(p.ms))
		}
	}
	fields := []string{
		"VMM", strings.TrimSpace(b.VMM + " " + b.VMMVersion), "Acceleration", b.Accel, "Boot", b.ID,
		"Guest boot", b.GuestBoot, "Guest kernel", b.Kernel, "Started", b.StartedAt.Local().Format("2006-01-02 15:04:05"),
		"Timings", strings.Join(phases, ", "),
	}
	if b.VMMPID > 0 {
		fields = append(fields, "Processes", fmt.Sprintf("VMM %d, monitor %d", b.VMMPID, b.MonitorPID))
	}
	if !b.EndedAt.IsZero() {
		fields = append(fields, "Ended", b.EndedAt.Local().Format("2006-01-02 15:04:05"), "Ended because", b.ExitReason)
	}
	return fields
}
