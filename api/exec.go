package api

// ExecSpec is a command to run in a guest.
type ExecSpec struct {
	Argv []string `json:"argv"`           // argv[0] is looked up in PATH; empty means the user's login shell
	Env  []string `json:"env,omitempty"`  // KEY=VALUE, added to the login environment
	Cwd  string   `json:"cwd,omitempty"`  // default: the user's home
	User string   `json:"user,omitempty"` // name or uid; default: the image's login user
	TTY  bool     `json:"tty,omitempty"`
	Rows uint16   `json:"rows,omitempty"`
	Cols uint16   `json:"cols,omitempty"`
	// Detached: the command goes on without a client and its output goes to a
	// bounded file in the guest, the oldest dropped.
	Detached bool `json:"detached,omitempty"`
}

// ExecAttachRequest starts a command or attaches to it again. The client
// chooses the ID (16 to 64 characters of [a-z0-9-]), so that a repeated start
// attaches instead of running twice.
type ExecAttachRequest struct {
	ID string `json:"id"`
	// Start is given with every attempt of the client that starts the command,
	// until one was answered; nil attaches only (a command that is gone, with
	// its guest's boot, must not run again).
	Start *ExecSpec `json:"start,omitempty"`
	// StdoutOffset and StderrOffset are the numbers of bytes that this client
	// already has.
	StdoutOffset uint64 `json:"stdout_offset"`
	StderrOffset uint64 `json:"stderr_offset"`
	// Brief says that the end of an empty stdin comes along with the request, and
	// nothing after it: the answer may come some milliseconds later, together with
	// a short command's output and exit.
	Brief bool `json:"brief,omitempty"`
}

// ExecAttached answers it; frames follow.
type ExecAttached struct {
	ID string `json:"id"`
	// StdinOffset is the number of bytes of input that the guest already has.
	StdinOffset uint64 `json:"stdin_offset"`
	// StdoutOffset and StderrOffset are where the output goes on: greater than
	// asked for where a detached command's oldest output was dropped.
	StdoutOffset uint64 `json:"stdout_offset"`
	StderrOffset uint64 `json:"stderr_offset"`
	// ControlSeq is the sequence number of the last signal or resize that the
	// guest has acted upon; the client's next one is greater.
	ControlSeq uint64 `json:"control_seq"`
	Window     uint32 `json:"window"` // bytes that may be unacknowledged, per stream
	// Frames is the version of the frames that follow, from 1 on; one that does
	// not say speaks version 1.
	Frames int `json:"frames,omitempty"`
}

// ExecExit is how a command ended.
type ExecExit struct {
	Code   int `json:"code"`             // the exit code; 128+N for signal N
	Signal int `json:"signal,omitempty"` // N
	// Error is set where the command could not be run: Code is then 126 or
	// 127, or 125 where banger is at fault.
	Error string `json:"error,omitempty"`
}
