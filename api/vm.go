package api

import "time"

// State is the state of a VM, derived from facts.
type State string

// The states of a VM.
const (
	StateCreating State = "creating"
	StateStopped  State = "stopped"
	StateStarting State = "starting"
	StateRunning  State = "running"
	StatePaused   State = "paused" // by a user, or by its VMM, for instance on a full disk; Reason says why
	StateStopping State = "stopping"
	StateDeleting State = "deleting"
	StateFailed   State = "failed" // Reason says in which phase and why
)

// VMSpec is what a VM is asked to be. Zero values take the defaults.
type VMSpec struct {
	Name        string `json:"name,omitempty"`        // made up when empty
	Image       string `json:"image,omitempty"`       // default "debian"
	Kernel      string `json:"kernel,omitempty"`      // default "debian"
	CPUs        int    `json:"cpus,omitempty"`        // 1 to 64, default 1
	MemoryBytes int64  `json:"memory,omitempty"`      // default 512 MiB
	DiskBytes   int64  `json:"disk,omitempty"`        // work disk, default 16 GiB
	DiskDriver  string `json:"disk_driver,omitempty"` // guestcow (default, where the kernel can), copy, reflink or qcow2
	Network     string `json:"network,omitempty"`     // user (default) or none
	// AllowHosts are destinations that the guest may reach although its network
	// refuses them: ADDRESS[/BITS][:PORT], an IPv6 address with a port in brackets.
	AllowHosts []string          `json:"allow_hosts,omitempty"`
	VMM        string            `json:"vmm,omitempty"`   // auto (default) or a driver's name
	Accel      string            `json:"accel,omitempty"` // auto (default), kvm or tcg
	Labels     map[string]string `json:"labels,omitempty"`
	AutoRemove bool              `json:"auto_remove,omitempty"` // deleted when it stops (run --rm)
	// Restart says when a VM that has ended by itself is started again: no
	// (default), on-failure, on-failure:N (at most N times in a row) or always.
	Restart   string    `json:"restart,omitempty"`
	Autostart bool      `json:"autostart,omitempty"` // started with the host
	Forwards  []Forward `json:"forwards,omitempty"`
	// AutoForward gives each port from 1024 on that the guest listens on a
	// forward on the host's loopback; default what config.toml says, else false.
	AutoForward *bool `json:"auto_forward,omitempty"`
}

// VM is a VM as inspect shows it.
type VM struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	State     State     `json:"state"`
	Reason    string    `json:"reason,omitempty"` // why it is in this state, one sentence
	Spec      VMSpec    `json:"spec"`             // what it is asked to be; see Pending
	ImageID   string    `json:"image_id"`
	KernelID  string    `json:"kernel_id"`
	User      string    `json:"user"` // the image's login user
	CreatedAt time.Time `json:"created_at"`
	Dir       string    `json:"dir"`
	Operation string    `json:"operation,omitempty"` // the mutating operation under way
	Boot      *Boot     `json:"boot,omitempty"`      // the running or the last boot
	// Pending names the fields of spec that a running VM has only from its next
	// start on; what it runs with is in boot.
	Pending []string `json:"pending,omitempty"`
	// Comeback is what its restart policy has done, and will.
	Comeback *Comeback `json:"comeback,omitempty"`
	// VMMWhy says why it is on the VMM that spec names, half a sentence.
	VMMWhy string `json:"vmm_why,omitempty"`
	// Isolation is what sets it apart from the host: of the boot under way or
	// the last one, or what the first can expect.
	Isolation string `json:"isolation,omitempty"`
	// Reduced lists what is weaker or missing on this host, a sentence each.
	Reduced []string `json:"reduced,omitempty"`
	// Forwards are those of spec and the automatic ones, as they are now.
	Forwards []ForwardStatus `json:"forwards,omitempty"`
	// Reaches says what the guest can reach through its network, a sentence each.
	Reaches []string `json:"reaches,omitempty"`
	// Refused is what its network refused the running guest; it begins anew with
	// each monitor.
	Refused *VMRefused `json:"refused,omitempty"`
	// Auth is what it was given of its user's own; only vm.inspect tells it.
	Auth *VMAuth `json:"auth,omitempty"`
}

// Comeback is what a VM's restart policy, or the start of its host, has done
// since a user last started or stopped it, and will do.
type Comeback struct {
	Restarts int       `json:"restarts"`         // begun in all
	InRow    int       `json:"in_row,omitempty"` // begun since one of them lasted for 10 seconds
	NextAt   time.Time `json:"next_at,omitzero"` // when the next one begins
	GaveUp   bool      `json:"gave_up,omitempty"`
	Why      string    `json:"why,omitempty"` // a next one is to come, or none any more
}

// VMRefused is what a VM's network refused.
type VMRefused struct {
	Counts []RefusedCount   `json:"counts"` // most first
	Last   []RefusedAttempt `json:"last"`   // a few, oldest first
}

// RefusedCount counts what was refused for one reason: the range of addresses
// in which the destination is, or a bound that was reached.
type RefusedCount struct {
	Why   string `json:"why"`
	Count uint64 `json:"count"`
}

// RefusedAttempt is one thing that was refused.
type RefusedAttempt struct {
	At       time.Time `json:"at"`
	Protocol string    `json:"protocol"` // tcp, udp or icmp
	To       string    `json:"to"`       // as the guest had it
	Why      string    `json:"why"`
}

// Boot is one boot of a VM.
type Boot struct {
	ID         string    `json:"id"`                      // the monitor's, changes with every boot
	GuestBoot  string    `json:"guest_boot_id,omitempty"` // the guest kernel's own
	VMM        string    `json:"vmm"`
	VMMVersion string    `json:"vmm_version,omitempty"`
	Accel      string    `json:"accel"`
	VMMPID     int       `json:"vmm_pid,omitempty"`
	MonitorPID int       `json:"monitor_pid,omitempty"`
	Units      []string  `json:"units,omitempty"`         // those of systemd that hold monitor and VMM
	Kernel     string    `json:"kernel,omitempty"`        // the guest's uname -r
	Agent      string    `json:"agent_version,omitempty"` // of the banger-guest in it, which it keeps
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	ExitReason string    `json:"exit_reason,omitempty"`
	Timings    Timings   `json:"timings"`

	// What it was started with; 0 and "" where that was not kept.
	CPUs        int      `json:"cpus,omitempty"`
	MemoryBytes int64    `json:"memory,omitempty"`
	DiskBytes   int64    `json:"disk,omitempty"`
	Network     string   `json:"network,omitempty"`
	AllowHosts  []string `json:"allow_hosts,omitempty"`
}

// Timings are the phases of one boot in milliseconds. Each is the phase's own
// length; 0 means not reached or not measured.
type Timings struct {
	DiskMS        float64 `json:"disk_ms"`         // making the disks (first boot only)
	SpawnMS       float64 `json:"spawn_ms"`        // VMM exec to vCPUs running
	KernelMS      float64 `json:"kernel_ms"`       // vCPUs running to /init
	InitMS        float64 `json:"init_ms"`         // /init to root mounted and agent listening
	AgentReadyMS  float64 `json:"agent_ready_ms"`  // spawn to identity set: exec works
	SystemReadyMS float64 `json:"system_ready_ms"` // spawn to the image's init having finished starting
}

// VMSSHRequest asks how OpenSSH reaches a VM; an empty name only for the files.
type VMSSHRequest struct {
	VM string `json:"vm,omitempty"`
}

// VMSSH answers it. The files are brought up to date first.
type VMSSH struct {
	Config string `json:"config"`         // path of an ssh_config with a block for each VM
	Zone   string `json:"zone"`           // what the VMs' names end in there: vm
	Host   string `json:"host,omitempty"` // the VM's name there
}

// VMConnectRequest names a VM to connect to.
type VMConnectRequest struct {
	VM string `json:"vm"`
	// WaitMS is how long to wait for a VM that is being made or started; it is
	// to be named by its ID then. Maximum 60,000.
	WaitMS int64 `json:"wait_ms,omitempty"`
	// Again: there was a stream, which is to go on. A VM that a user has paused
	// is no reason to give it up then.
	Again bool `json:"again,omitempty"`
}

// VMRef names a VM by name, ID or unique ID prefix.
type VMRef struct {
	VM string `json:"vm"`
}

// VMCreateRequest asks for a VM.
type VMCreateRequest struct {
	Spec  VMSpec `json:"spec"`
	Start bool   `json:"start,omitempty"` // start it as part of the same operation
	Force bool   `json:"force,omitempty"` // also where the host cannot carry one more
	Auth  *Auth  `json:"auth,omitempty"`  // what it is given from its first start on
	Key   string `json:"idempotency_key,omitempty"`
}

// VMStartRequest asks for a start.
type VMStartRequest struct {
	VM string `json:"vm"`
	// VMM moves a stopped VM to another VMM for this and later starts; empty:
	// it stays on its own.
	VMM   string `json:"vmm,omitempty"`
	Force bool   `json:"force,omitempty"` // also where the host cannot carry one more
	// Auth is what it is given from now on, unless it is to have nothing; a file
	// that a user took away stays away.
	Auth *Auth  `json:"auth,omitempty"`
	Key  string `json:"idempotency_key,omitempty"`
}

// VMActionRequest asks for an action without parameters.
type VMActionRequest struct {
	VM  string `json:"vm"`
	Key string `json:"idempotency_key,omitempty"`
}

// VMStopRequest asks for a graceful stop, and a kill after the timeout; of
// vm.restart for a start after that.
type VMStopRequest struct {
	VM        string `json:"vm"`
	TimeoutMS int64  `json:"timeout_ms,omitempty"` // default 60,000
	Force     bool   `json:"force,omitempty"`      // of vm.restart: start it also where the host cannot carry it any more
	Key       string `json:"idempotency_key,omitempty"`
}

// VMRenameRequest asks for another name.
type VMRenameRequest struct {
	VM   string `json:"vm"`
	Name string `json:"name"`
	Key  string `json:"idempotency_key,omitempty"`
}

// VMSetRequest asks for a VM to be changed: all that is given or, where one
// thing is refused, nothing. What is 0 or empty stays as it is.
type VMSetRequest struct {
	VM          string `json:"vm"`
	CPUs        int    `json:"cpus,omitempty"`
	MemoryBytes int64  `json:"memory,omitempty"`
	DiskBytes   int64  `json:"disk,omitempty"` // of the work disk, which only grows
	Network     string `json:"network,omitempty"`
	// AllowHosts are added to the exceptions of its network, DisallowHosts taken
	// away.
	AllowHosts    []string `json:"allow_hosts,omitempty"`
	DisallowHosts []string `json:"disallow_hosts,omitempty"`
	// Labels are added or get other values; Unlabel are keys of those to be taken
	// away.
	Labels    map[string]string `json:"labels,omitempty"`
	Unlabel   []string          `json:"unlabel,omitempty"`
	Restart   string            `json:"restart,omitempty"` // no, on-failure, on-failure:N or always
	Autostart *bool             `json:"autostart,omitempty"`
	Key       string            `json:"idempotency_key,omitempty"`
}

// VMResetRequest asks for a VM's root to be what its image is.
type VMResetRequest struct {
	VM string `json:"vm"`
	// Force: stop it first if it runs, as vm.stop does with TimeoutMS, and start it
	// again after that.
	Force     bool   `json:"force,omitempty"`
	TimeoutMS int64  `json:"timeout_ms,omitempty"` // default 60,000
	Key       string `json:"idempotency_key,omitempty"`
}

// VMDeleteRequest asks for a VM and all that belongs to it to be removed.
type VMDeleteRequest struct {
	VM    string `json:"vm"`
	Force bool   `json:"force,omitempty"` // kill it first if it runs
	Key   string `json:"idempotency_key,omitempty"`
}

// VMListRequest filters a list.
type VMListRequest struct {
	All bool `json:"all,omitempty"` // also those that do not run
	// Labels are KEY=VALUE, or KEY for any value: only VMs that have all of them.
	Labels []string `json:"labels,omitempty"`
}

// VMList is a list of VMs, by name.
type VMList struct {
	VMs []VM `json:"vms"`
}

// VMEndpoint says where a running VM's monitor answers.
type VMEndpoint struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	User   string `json:"user"`
	Socket string `json:"socket"` // absolute path; may be longer than 108 bytes
	BootID string `json:"boot_id"`
}
