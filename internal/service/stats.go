package service

import (
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/usage"
)

func statsFrom(s vm.Stats) api.VMStats {
	out := api.VMStats{
		ID: s.ID, Name: s.Spec.Name, State: api.State(s.State), At: s.At, CPUs: s.Spec.CPUs, MemoryBytes: s.Spec.MemoryBytes,
		VMM: processFrom(s.Host.VMM), Monitor: processFrom(s.Monitor), Disks: disksFrom(s), Missing: s.Missing,
	}
	if s.Guest != nil {
		h := healthFrom(*s.Guest)
		out.Guest = &h
	}
	if s.Traffic != nil {
		n := api.NetworkStats(*s.Traffic)
		out.Network = &n
	}
	if s.Boot != nil {
		out.Timings = &bootFrom(s.View).Timings
	}
	return out
}

func processFrom(p *usage.Process) *api.ProcessStats {
	if p == nil {
		return nil
	}
	return &api.ProcessStats{PID: p.PID, CPUMS: float64(p.CPU) / float64(time.Millisecond), Resident: p.Resident, PSS: p.Proportional}
}

func disksFrom(s vm.Stats) []api.DiskStats {
	all := make([]api.DiskStats, len(s.Disks))
	for i, d := range s.Disks {
		all[i] = api.DiskStats{Slot: string(d.Slot), What: d.What, Shared: d.Shared, ApparentBytes: d.ApparentBytes, UsedBytes: d.UsedBytes}
		if s.Counts.VMM == nil {
			continue
		}
		n := s.Counts.VMM.Drives[d.Slot]
		all[i].Reads, all[i].Writes, all[i].ReadBytes, all[i].WrittenBytes = n.Reads, n.Writes, n.ReadBytes, n.WrittenBytes
	}
	return all
}
