package api

// HostInfo is what this host has, what of it the VMs that run may take, and by
// what a start is let in or refused. Sizes are bytes.
type HostInfo struct {
	Daemon         DaemonStatus `json:"daemon"`
	Kernel         string       `json:"kernel"` // its release
	CPUs           int          `json:"cpus"`
	MemoryBytes    int64        `json:"memory"` // of the host, or of the control group that bounds the daemon
	AvailableBytes int64        `json:"memory_available"`
	DiskBytes      int64        `json:"disk"` // of the file system with the VMs
	FreeBytes      int64        `json:"disk_free"`
	Running        RunningSum   `json:"running"`
	// A start is refused where the memory that VMs may yet take, its own included,
	// divided by MemoryOvercommit is not available; where there would be more
	// virtual processors than CPUOvercommit on each of the host's; and where less
	// than DiskReserve is free.
	MemoryOvercommit float64 `json:"memory_overcommit"`
	CPUOvercommit    float64 `json:"cpu_overcommit"`
	DiskReserve      int64   `json:"disk_reserve"`
	Images           int     `json:"images"`
	Kernels          int     `json:"kernels"`
}

// RunningSum is what the VMs that run have together.
type RunningSum struct {
	VMs         int   `json:"vms"`
	CPUs        int   `json:"cpus"`
	MemoryBytes int64 `json:"memory"`
	YetBytes    int64 `json:"memory_yet"` // that they may yet take
}
