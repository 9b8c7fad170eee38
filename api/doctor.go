package api

// DoctorReport is what "bangerd doctor" prints, and "banger doctor --json".
type DoctorReport struct {
	Checks []DoctorCheck `json:"checks"`
}

// The states of a check.
const (
	DoctorOK   = "ok"
	DoctorWarn = "warn" // banger works, but less well, or not all of it
	DoctorFail = "fail" // something that banger needs is missing or broken
	DoctorSkip = "skip" // it does not apply here, or cannot be told now
)

// DoctorCheck is what one named check found.
type DoctorCheck struct {
	Name    string `json:"name"`
	Theme   string `json:"theme"`
	State   string `json:"state"`
	Found   string `json:"found"`             // a sentence without its stop
	Command string `json:"command,omitempty"` // a line for sh that mends it
	// Safe: the command needs no root and touches nothing but banger's own;
	// --fix runs it.
	Safe bool   `json:"safe,omitempty"`
	Hint string `json:"hint,omitempty"`
}

// Residue is what "banger doctor --residue --json" prints.
type Residue struct {
	Strays []Stray `json:"strays"`
}

// Stray is something on the host, or in banger's records, that has lost what it
// belongs to.
type Stray struct {
	Kind    string `json:"kind"`              // process, directory, file, socket, unit, record
	What    string `json:"what"`              // a path, a process ID, a name
	Why     string `json:"why"`               // a sentence without its stop
	Command string `json:"command,omitempty"` // a line for sh that removes it
}
