package api

import "time"

// ProtocolVersion is the version of this protocol. A daemon also speaks the
// previous one.
const ProtocolVersion = 1

// Protocols are the versions of what banger's programs speak with each other,
// as one of them knows them; 0 is one that it does not speak.
type Protocols struct {
	API     int `json:"api"`               // clients with the daemon: ProtocolVersion
	Stream  int `json:"stream"`            // the frames between clients and guests
	Monitor int `json:"monitor,omitempty"` // the daemon with the monitors of VMs
	Agent   int `json:"agent,omitempty"`   // monitors with the agents in guests
}

// DaemonStatus describes a running daemon.
type DaemonStatus struct {
	PID       int       `json:"pid"`
	Version   string    `json:"version"`
	Protocols Protocols `json:"protocols"`
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
