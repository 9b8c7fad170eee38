package api

// FilesPutSpec says where in a guest an archive is unpacked. What an archive
// is, is in docs/streams.md.
type FilesPutSpec struct {
	// User is the name or uid of whom it is put as: by that user's rights, and
	// what is put is that user's. Default: the image's login user.
	User string `json:"user,omitempty"`
	// Path is the destination: a directory that is there, to put it into, or
	// the name that the one source is to have. A relative one is of the user's
	// home. A trailing slash means a directory.
	Path string `json:"path"`
	// Into: it can only be a directory that is there.
	Into bool `json:"into,omitempty"`
	// Foreign: any tar may come, not only one as FilesGet makes it.
	Foreign bool `json:"foreign,omitempty"`
	Setuid  bool `json:"setuid,omitempty"` // keep setuid and setgid bits
}

// FilesPutRequest begins to put files into a guest, or attaches to that again;
// the ID is as that of an exec. The frames are those of an exec without
// stdout: stdin is the archive, stderr a FilesSkipped a line, and any signal
// gives it up. Its exit is a FilesExit.
type FilesPutRequest struct {
	ID string `json:"id"`
	// Start is given with every attempt of the client that begins it, until
	// one was answered; nil attaches only.
	Start *FilesPutSpec `json:"start,omitempty"`
	// StderrOffset is the number of bytes that this client already has.
	StderrOffset uint64 `json:"stderr_offset"`
}

// FilesGetSpec says what in a guest is packed into an archive.
type FilesGetSpec struct {
	User  string   `json:"user,omitempty"` // by whose rights, as in FilesPutSpec
	Paths []string `json:"paths"`          // relative ones are of the user's home
	// FollowLinks: of a path that is a symbolic link take what it points to.
	FollowLinks bool `json:"follow_links,omitempty"`
}

// FilesGetRequest begins to get files from a guest, or attaches to that again.
// The frames are those of an exec: stdout is the archive, stderr a FilesSkipped
// a line, and any signal gives it up. Its exit is a FilesExit.
type FilesGetRequest struct {
	ID string `json:"id"`
	// Start is given with every attempt of the client that begins it, until
	// one was answered; nil attaches only.
	Start *FilesGetSpec `json:"start,omitempty"`
	// StdoutOffset and StderrOffset are the numbers of bytes that this client
	// already has.
	StdoutOffset uint64 `json:"stdout_offset"`
	StderrOffset uint64 `json:"stderr_offset"`
}

// FilesSkipped is a file that was left out of a copy, which goes on.
type FilesSkipped struct {
	Name   string `json:"name"`
	Reason string `json:"reason"` // what it is, or why it cannot be copied
}

// FilesExit is how a copy ended in the guest.
type FilesExit struct {
	Error *Error `json:"error,omitempty"` // nil: it is done
}
