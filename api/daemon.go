package api

import "time"

// ProtocolVersion is the version of this protocol. A daemon also speaks the
// previous one.
const ProtocolVersion = 1

// DaemonStatus describes a running daemon.
type DaemonStatus struct {
	PID       int       `json:"pid"`
	Version   string    `json:"version"`
	Protocol  int       `json:"protocol"`
	Socket    string    `json:"socket"`
	StateDir  string    `json:"state_dir"`
	LogFile   string    `json:"log_file"`
	StartedAt time.Time `json:"started_at"`
	VMs       int       `json:"vms"`
	Running   int       `json:"running"`
	Unit      string    `json:"unit,omitempty"`  // systemd's, that holds the daemon itself
	Units     string    `json:"units,omitempty"` // whose units hold monitors and VMMs: user, system; nobody's if empty
	// Reduced lists what is weaker or missing on this host for every VM, a sentence each.
	Reduced []string `json:"reduced,omitempty"`
}
