package fcapi

// Machine is the body of /machine-config.
type Machine struct {
	CPUs            int   `json:"vcpu_count"`
	MemoryMiB       int64 `json:"mem_size_mib"`
	SMT             bool  `json:"smt"`
	TrackDirtyPages bool  `json:"track_dirty_pages"`
}

// BootSource is the body of /boot-source.
type BootSource struct {
	Kernel    string `json:"kernel_image_path"`
	Initramfs string `json:"initrd_path,omitempty"`
	Args      string `json:"boot_args"`
}

// CacheWriteback makes a guest's flush reach the host's disk; the default
// ignores it.
const CacheWriteback = "Writeback"

// Drive is the body of /drives/ID.
type Drive struct {
	ID       string       `json:"drive_id"`
	Path     string       `json:"path_on_host"`
	Root     bool         `json:"is_root_device"`
	ReadOnly bool         `json:"is_read_only"`
	Cache    string       `json:"cache_type"`
	Limit    *RateLimiter `json:"rate_limiter,omitempty"`
}

// DriveUpdate is the body of a PATCH of /drives/ID.
type DriveUpdate struct {
	ID   string `json:"drive_id"`
	Path string `json:"path_on_host"`
}

// RateLimiter bounds a device.
type RateLimiter struct {
	Bytes *TokenBucket `json:"bandwidth,omitempty"`
	Ops   *TokenBucket `json:"ops,omitempty"`
}

// TokenBucket refills Size tokens every RefillMS.
type TokenBucket struct {
	Size     int64 `json:"size"`
	RefillMS int64 `json:"refill_time"`
}

// PerSecond is a limiter of so many bytes and operations a second; 0 is no
// limit, nil none at all.
func PerSecond(bytes, ops int64) *RateLimiter {
	bucket := func(n int64) *TokenBucket {
		if n <= 0 {
			return nil
		}
		return &TokenBucket{Size: n, RefillMS: 1000}
	}
	if bytes <= 0 && ops <= 0 {
		return nil
	}
	return &RateLimiter{Bytes: bucket(bytes), Ops: bucket(ops)}
}

// Card is the body of /network-interfaces/ID.
type Card struct {
	ID     string `json:"iface_id"`
	Device string `json:"host_dev_name"`
	MAC    string `json:"guest_mac,omitempty"`
}

// Vsock is the body of /vsock.
type Vsock struct {
	CID    uint32 `json:"guest_cid"`
	Socket string `json:"uds_path"`
}

// Entropy is the body of /entropy.
type Entropy struct {
	Limit *RateLimiter `json:"rate_limiter,omitempty"`
}

// The types of a snapshot.
const (
	SnapshotFull = "Full"
	SnapshotDiff = "Diff" // only what is dirty since the last one
)

// Snapshot is the body of /snapshot/create.
type Snapshot struct {
	Type   string `json:"snapshot_type"`
	State  string `json:"snapshot_path"`
	Memory string `json:"mem_file_path"`
}

// Load is the body of /snapshot/load.
type Load struct {
	State         string         `json:"snapshot_path"`
	Memory        MemoryBackend  `json:"mem_backend"`
	Resume        bool           `json:"resume_vm"`
	Vsock         *VsockOverride `json:"vsock_override,omitempty"`
	Networks      []NetOverride  `json:"network_overrides,omitempty"`
	ClockRealtime bool           `json:"clock_realtime,omitempty"`
}

// MemoryBackend is where a restored guest's memory comes from.
type MemoryBackend struct {
	Type string `json:"backend_type"` // File or Uffd
	Path string `json:"backend_path"`
}

// VsockOverride gives a restored guest another socket.
type VsockOverride struct {
	Socket string `json:"uds_path"`
}

// NetOverride gives a restored guest's card another device.
type NetOverride struct {
	ID     string `json:"iface_id"`
	Device string `json:"host_dev_name"`
}
