package show

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/size"
)

// Row is a VM in a table of what VMs take. A share is of one processor, in
// percent, since the sample before; nil where that is not known.
type Row struct {
	api.VMStats
	Share      *float64 `json:"cpu_percent,omitempty"`       // of the host, for the VMM
	GuestShare *float64 `json:"guest_cpu_percent,omitempty"` // as the guest counts it
}

// Shares are the shares of processors between two samples of a VM. There are none
// where it began anew in between.
func Shares(before, now api.VMStats) (host, guest *float64) {
	if a, b := before.VMM, now.VMM; a != nil && b != nil && a.PID == b.PID {
		host = share(b.CPUMS-a.CPUMS, float64(now.At.Sub(before.At).Microseconds())/1000)
	}
	if a, b := before.Guest, now.Guest; a != nil && b != nil && b.CPUs > 0 {
		guest = share(b.BusyMS-a.BusyMS, b.UptimeMS-a.UptimeMS)
	}
	return host, guest
}

func share(part, whole float64) *float64 {
	if part < 0 || whole <= 0 {
		return nil
	}
	percent := part / whole * 100
	return &percent
}

// Stats writes a table of what VMs take.
func Stats(w io.Writer, rows []Row) error {
	header := []string{"NAME", "STATE", "CPU", "GUEST CPU", "MEMORY", "MONITOR", "GUEST", "DISK", "SHARED", "SENT", "RECEIVED", "BOOT"}
	missing := slices.ContainsFunc(rows, func(r Row) bool { return len(r.Missing) > 0 })
	if missing { // mostly nothing is
		header = append(header, "MISSING")
	}
	t := NewTable(header...)
	for _, r := range rows {
		own, shared := diskSums(r.Disks)
		cells := []string{
			r.Name, string(r.State), percent(r.Share), percent(r.GuestShare), memory(r.VMM), memory(r.Monitor), guestMemory(r.Guest),
			size.Format(own.UsedBytes) + " of " + size.Format(own.ApparentBytes), size.Format(shared.UsedBytes), "", "", "",
		}
		if n := r.Network; n != nil {
			cells[9], cells[10] = size.Format(int64(n.SentBytes)), size.Format(int64(n.ReceivedBytes))
		}
		if r.Timings != nil {
			cells[11] = Millis(r.Timings.AgentReadyMS)
		}
		if missing {
			cells = append(cells, clip(strings.Join(r.Missing, "; "), 60))
		}
		t.Row(cells...)
	}
	return t.Write(w)
}

// Disks writes a table with a line for each disk.
func Disks(w io.Writer, rows []Row) error {
	t := NewTable("NAME", "DISK", "WHAT", "SIZE", "USED", "SHARED", "READ", "WRITTEN")
	for _, r := range rows {
		for _, d := range r.Disks {
			shared, read, written := "no", "", ""
			if d.Shared {
				shared = "yes"
			}
			if d.Reads > 0 || d.Writes > 0 {
				read, written = size.Format(d.ReadBytes), size.Format(d.WrittenBytes)
			}
			t.Row(r.Name, d.Slot, d.What, size.Format(d.ApparentBytes), size.Format(d.UsedBytes), shared, read, written)
		}
	}
	return t.Write(w)
}

// diskSums add up the disks that are the VM's own, and those that others have too.
func diskSums(all []api.DiskStats) (own, shared api.DiskStats) {
	for _, d := range all {
		sum := &own
		if d.Shared {
			sum = &shared
		}
		sum.UsedBytes += d.UsedBytes
		sum.ApparentBytes += d.ApparentBytes
	}
	return own, shared
}

func percent(p *float64) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%.1f%%", *p)
}

// memory is a process's part of what it has in memory, or all of that.
func memory(p *api.ProcessStats) string {
	switch {
	case p == nil:
		return ""
	case p.PSS > 0:
		return size.Format(p.PSS)
	}
	return size.Format(p.Resident)
}

func guestMemory(h *api.VMHealth) string {
	if h == nil {
		return ""
	}
	return size.Format(max(h.MemTotal-h.MemAvail, 0)) + " of " + size.Format(h.MemTotal)
}
