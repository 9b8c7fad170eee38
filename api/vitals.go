package api

import "time"

// VMAskRequest asks a running VM's guest something.
type VMAskRequest struct {
	VM string `json:"vm"`
	// TimeoutMS is how long the guest may take; default 5,000, maximum 60,000.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
}

// VMPong says that a guest's agent answered.
type VMPong struct {
	AgentMS float64 `json:"agent_ms"` // it took, as the VM's monitor saw it
}

// VMHealth is how a guest is, by its agent's word. Sizes are bytes.
type VMHealth struct {
	UptimeMS float64    `json:"uptime_ms"`
	Load     [3]float64 `json:"load"`                // of the last 1, 5 and 15 minutes
	CPUs     int        `json:"cpus,omitempty"`      // that work; 0 where an older agent does not tell
	BusyMS   float64    `json:"busy_ms,omitempty"`   // of all its processors since its boot
	StolenMS float64    `json:"stolen_ms,omitempty"` // that they were kept from working by the host
	MemTotal int64      `json:"mem_total"`
	MemAvail int64      `json:"mem_available"`
	Execs    int        `json:"execs"` // commands that banger runs there
	RootSize int64      `json:"root_size,omitempty"`
	RootFree int64      `json:"root_free"`
	WorkSize int64      `json:"work_size,omitempty"` // of the work disk's file system, if it has one
	WorkFree int64      `json:"work_free"`
}

// VMStatsRequest asks what VMs take and do.
type VMStatsRequest struct {
	VMs []string `json:"vms,omitempty"` // by name, ID or unique ID prefix; none: all that run
	// TimeoutMS is how long each guest may take; default 2,000, maximum 60,000.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
}

// VMStatsList is what VMs take and do, in the order in which they were named, or
// by name.
type VMStatsList struct {
	VMs []VMStats `json:"vms"`
}

// VMStats are what one VM has taken and done by now; a part that is left out is
// not known. Sizes are bytes.
type VMStats struct {
	ID          string        `json:"id"`
	Name        string        `json:"name"`
	State       State         `json:"state"`
	At          time.Time     `json:"at"`
	CPUs        int           `json:"cpus"`   // that it has
	MemoryBytes int64         `json:"memory"` // that it has
	VMM         *ProcessStats `json:"vmm,omitempty"`
	Monitor     *ProcessStats `json:"monitor,omitempty"`
	Guest       *VMHealth     `json:"guest,omitempty"`
	Disks       []DiskStats   `json:"disks"`
	// Network is what went over the guest's card since its monitor began.
	Network *NetworkStats `json:"network,omitempty"`
	Timings *Timings      `json:"timings,omitempty"` // of the running or the last boot
	// Missing says why something is not known, a sentence each.
	Missing []string `json:"missing,omitempty"`
}

// ProcessStats are what a process of the host takes.
type ProcessStats struct {
	PID      int     `json:"pid"`
	CPUMS    float64 `json:"cpu_ms"`        // milliseconds on the host's processors since its start
	Resident int64   `json:"resident"`      // in memory, what it shares with others included
	PSS      int64   `json:"pss,omitempty"` // in memory, of what it shares its part
}

// DiskStats are what a disk of a VM takes on the host, and what its guest did to it.
type DiskStats struct {
	Slot          string `json:"slot"`             // as the guest sees it, such as vda
	What          string `json:"what"`             // image, root, layer or work
	Shared        bool   `json:"shared,omitempty"` // with other VMs
	ApparentBytes int64  `json:"apparent"`
	UsedBytes     int64  `json:"used"`
	// What the guest did since its VMM began, where the VMM counts it.
	Reads        int64 `json:"reads,omitempty"`
	Writes       int64 `json:"writes,omitempty"`
	ReadBytes    int64 `json:"read_bytes,omitempty"`
	WrittenBytes int64 `json:"written_bytes,omitempty"`
}

// NetworkStats count what went over a guest's card, as the guest sees it.
type NetworkStats struct {
	SentBytes      uint64 `json:"sent_bytes"`
	SentFrames     uint64 `json:"sent_frames"`
	ReceivedBytes  uint64 `json:"received_bytes"`
	ReceivedFrames uint64 `json:"received_frames"`
}
