package api

// Forward leads a TCP port of the host to one of a VM, whether the guest's
// server listens on its loopback or on all of its addresses. The VM needs no
// network for it.
type Forward struct {
	// Address is an IP address of the host, 0.0.0.0 for all of IPv4; empty: its
	// loopback, 127.0.0.1 and ::1.
	Address   string `json:"address,omitempty"`
	HostPort  int    `json:"host_port"` // 0: any free one, at each start of the VM
	GuestPort int    `json:"guest_port"`
}

// ForwardStatus is a forward and what became of it.
type ForwardStatus struct {
	Address   string `json:"address,omitempty"`
	HostPort  int    `json:"host_port"`
	GuestPort int    `json:"guest_port"`
	Port      int    `json:"port,omitempty"`  // that is listened on; 0: none is
	Auto      bool   `json:"auto,omitempty"`  // it is there because the guest listens
	Error     string `json:"error,omitempty"` // why none is listened on while the VM runs
	// Connections are those open now; only vm.ports tells them.
	Connections int `json:"connections,omitempty"`
}

// VMForwardAddRequest adds forwards, those of a stopped VM for its starts. A
// host port that is in use is an error: busy.
type VMForwardAddRequest struct {
	VM       string    `json:"vm"`
	Forwards []Forward `json:"forwards,omitempty"`
	// Auto turns automatic forwards on or off; nil leaves them.
	Auto *bool  `json:"auto,omitempty"`
	Key  string `json:"idempotency_key,omitempty"`
}

// VMForwardRemoveRequest takes forwards away: those of the host port that was
// asked for or is listened on, and of the address and guest port where these
// are given. Their open connections stay.
type VMForwardRemoveRequest struct {
	VM       string    `json:"vm"`
	Forwards []Forward `json:"forwards"`
	Key      string    `json:"idempotency_key,omitempty"`
}

// Listener is what listens in a guest: a TCP socket, or a UDP one that is bound.
// Its names are the guest's own word.
type Listener struct {
	Network string `json:"network"` // tcp or udp
	Address string `json:"address"`
	Port    int    `json:"port"`
	PID     int    `json:"pid,omitempty"`
	Process string `json:"process,omitempty"`
	User    string `json:"user,omitempty"`
}

// VMPorts are the ports of a running VM.
type VMPorts struct {
	Listeners []Listener      `json:"listeners"`      // by port
	More      bool            `json:"more,omitempty"` // there are more listeners than are told
	Forwards  []ForwardStatus `json:"forwards"`
}
