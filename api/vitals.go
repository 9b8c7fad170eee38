package api

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
