// Package wire is the protocol between a VM's monitor and the agent in its
// guest: what internal/guest (host) and internal/guestd (guest) both need and
// nothing else.
//
// Over the agent channel (a virtio-serial port or vsock) first a
// resynchronisation (Sync and Answer in sync.go), then HTTP/2 in clear text;
// the host is always the client. Bodies are JSON, or a JSON line followed by
// stream frames.
package wire

import "time"

// Protocol is the version that hello carries.
const Protocol = 1

// PortName is the name of the virtio-serial port, VsockPort the port on vsock.
const (
	PortName  = "dev.banger.agent"
	VsockPort = 1024
	// BellPort is the host's port on vsock that an agent connects to once it
	// listens; nothing is said there.
	BellPort = 1025
)

// The agent's endpoints.
const (
	PathHello    = "/v1/hello"       // GET → Hello
	PathHealth   = "/v1/health"      // GET → Health
	PathIdentity = "/v1/identity"    // PUT Identity → Hello; repeating it is harmless
	PathAuth     = "/v1/auth"        // PUT Auth → Hello, of a guest that has its identity; the same
	PathWatch    = "/v1/watch"       // GET → a Hello per line, at once and whenever it changes
	PathExec     = "/v1/exec/attach" // POST: a line api.ExecAttachRequest, frames → a line ExecReply, frames
	PathDial     = "/v1/dial"        // POST: a line api.DialOpenRequest, frames → a line ExecReply, frames
	PathFilesPut = "/v1/files/put"   // POST: a line api.FilesPutRequest, frames → a line ExecReply, frames
	PathFilesGet = "/v1/files/get"   // POST: a line api.FilesGetRequest, frames → a line ExecReply, frames
	PathPower    = "/v1/power"       // POST Power → {}
	PathGrow     = "/v1/grow"        // POST Grow → Grown

	PathListeners      = "/v1/listeners"       // GET → Listeners
	PathListenersWatch = "/v1/listeners/watch" // GET → a Listeners per line, of TCP, at once and whenever it changes
)

// Bounds on what an end accepts.
const (
	MaxLine   = 64 << 10 // of a JSON line or body (exec requests: MaxExec; Identity, Auth: MaxAuth)
	MaxExec   = 1 << 20  // of an exec request line (argv and env)
	MaxAuth   = 1 << 20  // of a body with an Auth in it
	MaxHeader = 16 << 10 // of HTTP headers

	MaxListeners = 128 // in a Listeners, so that it fits into MaxLine
	MaxName      = 32  // bytes of a process's or a user's name there
)

// Phase is how far the guest is.
type Phase string

// The phases of a guest, in their order.
const (
	PhaseIdentity Phase = "identity" // root is mounted, waiting for the identity
	PhaseReady    Phase = "ready"    // identity set, init started; exec works
	PhaseSystem   Phase = "system"   // the image's init has finished starting
	PhaseStopping Phase = "stopping"
	PhaseHalted   Phase = "halted" // root is read-only and flushed; Halt says what was asked
)

// Halt is what the guest's shutdown was asked to end in.
type Halt string

// The ends of a shutdown.
const (
	HaltPoweroff Halt = "poweroff"
	HaltReboot   Halt = "reboot"
)

// Hello is the agent's state.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"` // of banger-guest
	BootID   string `json:"boot_id"` // the guest kernel's
	Kernel   string `json:"kernel"`  // uname -r
	Phase    Phase  `json:"phase"`
	Halt     Halt   `json:"halt,omitempty"`
	User     string `json:"user"` // the login user's name, "" until known
	// Milliseconds on the guest's boot clock; 0: not reached.
	InitMS   float64 `json:"init_ms"`   // /init began
	AgentMS  float64 `json:"agent_ms"`  // the agent listens
	ReadyMS  float64 `json:"ready_ms"`  // the identity is set
	SystemMS float64 `json:"system_ms"` // the image's init has finished starting
	// Notes are things the boot put right or could not do, a sentence each, at
	// most 16 (for instance: "the root's COW layer was marked invalid and was revived").
	Notes []string `json:"notes,omitempty"`
	// Auth is what became of the last Auth; nil: there was none.
	Auth *AuthReport `json:"auth,omitempty"`
}

// Identity is what makes a guest this VM. The same call serves a cold boot
// (before the image's init runs) and a restored one.
type Identity struct {
	Hostname  string    `json:"hostname"`
	MachineID string    `json:"machine_id"` // 32 hex digits
	Time      time.Time `json:"time"`       // the host's clock
	Entropy   []byte    `json:"entropy"`    // 32 to 512 bytes, credited
	// HostKeys are OpenSSH private keys by file name ("ssh_host_ed25519_key");
	// the public halves are derived.
	HostKeys map[string][]byte `json:"host_keys,omitempty"`
	// AuthorizedKeys are public keys, a line of authorized_keys each, that may
	// log in over SSH as any user.
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
	// User is the login user whose home is the work disk.
	User string `json:"user"`
	// Auth is there before anything else runs; nil: nothing changes.
	Auth *Auth `json:"auth,omitempty"`
}

// Health is a sign of life.
type Health struct {
	UptimeMS float64    `json:"uptime_ms"`
	Load     [3]float64 `json:"load"`
	MemTotal int64      `json:"mem_total"`
	MemAvail int64      `json:"mem_available"`
	Execs    int        `json:"execs"` // running commands
	RootFree int64      `json:"root_free"`
	WorkFree int64      `json:"work_free"`
	// What follows older agents do not tell: 0.
	RootSize int64 `json:"root_size,omitempty"`
	WorkSize int64 `json:"work_size,omitempty"`
	CPUs     int   `json:"cpus,omitempty"` // that work
	// Milliseconds of all processors together since the boot.
	BusyMS   float64 `json:"busy_ms,omitempty"`
	StolenMS float64 `json:"stolen_ms,omitempty"` // ready to run, while the host ran others
}

// Power asks for a shutdown.
type Power struct {
	Action Halt `json:"action"`
}

// Grow asks for the work disk's file system to become as large as its drive,
// once that has at least SizeBytes. Repeating it is harmless.
type Grow struct {
	SizeBytes int64 `json:"size"`
}

// Grown says how large the file system is then.
type Grown struct {
	SizeBytes int64 `json:"size"`
}

// Listeners is what listens in the guest, by port.
type Listeners struct {
	All  []Listening `json:"all"`
	More bool        `json:"more,omitempty"` // there are more than are told
}

// Listening is a socket that listens, or a UDP one that is bound.
type Listening struct {
	Network string `json:"network"` // tcp or udp
	Address string `json:"address"` // IP
	Port    int    `json:"port"`
	PID     int    `json:"pid,omitempty"`     // 0: not known
	Process string `json:"process,omitempty"` // the name that the program gives itself
	User    string `json:"user,omitempty"`
}

// ExecReply is the first line of an exec's response body, and of a dial's and a
// copy's.
type ExecReply struct {
	OK    *ExecOK   `json:"ok,omitempty"`
	Error *ExecFail `json:"error,omitempty"`
}

// ExecOK mirrors api.ExecAttached.
type ExecOK struct {
	ID           string `json:"id"`
	StdinOffset  uint64 `json:"stdin_offset"`
	StdoutOffset uint64 `json:"stdout_offset"`
	StderrOffset uint64 `json:"stderr_offset"`
	ControlSeq   uint64 `json:"control_seq"`
	Window       uint32 `json:"window"`
	Frames       int    `json:"frames,omitempty"`
}

// ExecFail is a refusal; Kind is one of api's kinds.
type ExecFail struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// The kernel command line that the host sets and /init reads.
const (
	ArgRoot  = "banger.root"  // "cow": join vda and vdc; "raw": vda is the root, writable
	ArgUser  = "banger.user"  // the image's login user, whose home vdb is mounted on
	ArgProbe = "banger.probe" // print ProbeAnswer on the console and power off
)

// ProbeAnswer is what a probe boot prints.
const ProbeAnswer = "BANGER-PROBE-OK"
