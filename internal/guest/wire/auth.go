package wire

import "github.com/banger-vm/banger/internal/credential"

// Auth is what of its user's own a guest is to have: this, and nothing of an
// earlier one.
type Auth struct {
	ID string `json:"id"` // another one with each change; the report has it
	credential.Set
	// Gone are the paths of files that it may have had and is to have no more.
	Gone []string `json:"gone,omitempty"`
}

// AuthReport is what became of an Auth. Its sentences are short and without a
// path.
type AuthReport struct {
	ID       string   `json:"id"`
	Problems []string `json:"problems,omitempty"` // with all but the files; at most 4
	// Files are in the order of the Auth's: "" is there, else why not.
	Files []string `json:"files,omitempty"`
}

// MaxGone bounds Auth.Gone, MaxReason the bytes of a sentence in an AuthReport.
const (
	MaxGone   = 64
	MaxReason = 200
)
