package api

// VMM is a virtual machine monitor as this host has it.
type VMM struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path,omitempty"` // of its program
	// FoundBy says where the program was looked for: "config.toml", a variable
	// such as BANGER_FIRECRACKER, "installed" by banger, or "PATH".
	FoundBy string `json:"found_by"`
	// Error is why it does not work here at all; nothing below is known then.
	Error    *Error     `json:"error,omitempty"`
	Accels   []VMMAccel `json:"accels,omitempty"`
	Networks []string   `json:"networks,omitempty"` // those that its VMs can have
}

// VMMAccel is an acceleration of a VMM.
type VMMAccel struct {
	Name      string `json:"name"` // kvm or tcg
	Works     bool   `json:"works"`
	NotTried  bool   `json:"not_tried,omitempty"` // whether it works is not known
	Reason    string `json:"reason,omitempty"`    // why it does not work, or is not known to
	Isolation string `json:"isolation,omitempty"` // of a VM that runs so
	// Default is set on the one that a VM which asks for nothing gets; Why says
	// why it is that one.
	Default bool   `json:"default,omitempty"`
	Why     string `json:"why,omitempty"`
}

// VMMListRequest asks for the VMMs of this host.
type VMMListRequest struct {
	// Try boots a tiny guest where it is not known whether KVM works; that
	// takes some seconds, once.
	Try bool `json:"try,omitempty"`
}

// VMMList is the VMMs of this host, in the order in which they are chosen.
type VMMList struct {
	VMMs []VMM `json:"vmms"`
}

// VMMInstallRequest asks for a VMM to be installed for this daemon.
type VMMInstallRequest struct {
	VMM string `json:"vmm"`
	// From is a file, as an absolute path on the daemon's host, or an address
	// (http, https): a release archive or the program itself.
	From   string `json:"from"`
	SHA256 string `json:"sha256"` // of what From names, in hexadecimal; required
	Key    string `json:"idempotency_key,omitempty"`
}

// VMMInstalled is the result of such an operation.
type VMMInstalled struct {
	ID      string `json:"id"` // the VMM's name
	Version string `json:"version"`
}

// VMMRemoveRequest asks for what was installed of a VMM to be removed. One
// that a VM runs on is not removed (busy).
type VMMRemoveRequest struct {
	VMM string `json:"vmm"`
	Key string `json:"idempotency_key,omitempty"`
}

// VMMRemoved is the result of such an operation.
type VMMRemoved struct {
	ID      string   `json:"id"`                // the VMM's name
	Stopped []string `json:"stopped,omitempty"` // VMs that cannot start on it any more
}
