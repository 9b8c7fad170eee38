package qemu

import (
	"context"
	"fmt"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// Stats counts what the machine did.
func (m *machine) Stats(ctx context.Context) (vmm.Stats, error) {
	if m.gone() {
		return vmm.Stats{}, fmt.Errorf("%s: %w", m.name, vmm.ErrNotRunning)
	}
	var drives []struct {
		Node  string `json:"node-name"`
		Stats struct {
			ReadBytes    int64 `json:"rd_bytes"`
			WrittenBytes int64 `json:"wr_bytes"`
			Reads        int64 `json:"rd_operations"`
			Writes       int64 `json:"wr_operations"`
		} `json:"stats"`
	}
	if err := m.qmp.Execute(ctx, "query-blockstats", nil, &drives); err != nil {
		return vmm.Stats{}, err
	}
	s := vmm.Stats{Drives: map[disk.Slot]vmm.DriveStats{}}
	for _, d := range drives {
		n := d.Stats
		s.Drives[disk.Slot(d.Node)] = vmm.DriveStats{
			Reads: n.Reads, Writes: n.Writes, ReadBytes: n.ReadBytes, WrittenBytes: n.WrittenBytes,
		}
	}
	var err error
	s.CPU, s.Resident, err = hostexec.Usage(m.proc.ID().PID)
	return s, err
}
