package api

// Auth is what of a user's own a VM is given. The client reads it; a daemon
// opens no file for it. What is not in it stays as the VM has it; a git without
// name and address, and a list without a key, take away what it has.
type Auth struct {
	Git     *GitIdentity `json:"git,omitempty"`
	SSHKeys []string     `json:"ssh_keys,omitzero"` // public ones, a line of authorized_keys each; at most 16
	// Files are at most 32, of at most 256 KiB each and 512 KiB together, with
	// those that the VM has.
	Files []CredentialFile `json:"files,omitempty"`
	// Off: the VM is to have nothing of all that, until a vm.auth.push that has git
	// or ssh_keys.
	Off bool `json:"off,omitempty"`
}

// GitIdentity is who a user is in commits.
type GitIdentity struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// CredentialFile is a file that the guest's login user gets, on a tmpfs, with a
// link to it at Path.
type CredentialFile struct {
	Path string `json:"path"`           // in the guest: ~/… or /etc/…, without ".."
	Mode uint32 `json:"mode,omitempty"` // permission bits; default 0600
	Data []byte `json:"data"`
}

// VMAuthPushRequest gives a VM what a user asks for: a running one at once, any
// other from its next start on. Files that the guest has of its own are left and
// named: failed_precondition.
type VMAuthPushRequest struct {
	VM   string `json:"vm"`
	Auth Auth   `json:"auth"`
	Key  string `json:"idempotency_key,omitempty"`
}

// VMAuthRemoveRequest takes what it names away, until that is pushed again; or
// all that the VM was given where it names nothing, which then gets nothing until
// a vm.auth.push that has git or ssh_keys.
type VMAuthRemoveRequest struct {
	VM      string   `json:"vm"`
	Paths   []string `json:"paths,omitempty"` // of files, as VMAuth has them
	Git     bool     `json:"git,omitempty"`
	SSHKeys bool     `json:"ssh_keys,omitempty"`
	Key     string   `json:"idempotency_key,omitempty"`
}

// VMAuth is what a VM was given, without any file's content.
type VMAuth struct {
	Git     *GitIdentity     `json:"git,omitempty"`
	SSHKeys []string         `json:"ssh_keys,omitempty"`
	Files   []CredentialInfo `json:"files,omitempty"` // by path
	Off     bool             `json:"off,omitempty"`   // it gets nothing but for files that are pushed
	// Problems are what the guest did not take but for the files, a sentence each,
	// which are its own word; or why nobody knows what the VM was given.
	Problems []string `json:"problems,omitempty"`
}

// CredentialInfo describes a file. Mode is 0 of one that was taken away and is
// still in the guest, which did not hear of it yet.
type CredentialInfo struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	Size int    `json:"size"` // in bytes
	// State is "given", or why it is not there, half a sentence, which may be the
	// guest's own word.
	State string `json:"state"`
}
