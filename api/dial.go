package api

// DialSpec is an address in a guest to connect to.
type DialSpec struct {
	Network string `json:"network"` // tcp or unix
	// Address is HOST:PORT as the guest understands it, its loopback included,
	// or the absolute path of a Unix socket.
	Address string `json:"address"`
}

// DialOpenRequest opens a connection, or attaches to it again; the ID is as
// that of an exec. The frames are those of an exec without stderr: stdin is
// what goes to the address, stdout what comes from there, and signal 1 (SIGHUP)
// drops the connection. Its exit has code 0, or 1 and the reason where the
// connection broke.
type DialOpenRequest struct {
	ID string `json:"id"`
	// Start is given with every attempt of the client that opens the
	// connection, until one was answered; nil attaches only.
	Start *DialSpec `json:"start,omitempty"`
	// StdoutOffset is the number of bytes that this client already has.
	StdoutOffset uint64 `json:"stdout_offset"`
	// OrphanMS is how long the connection may have no client before it is
	// dropped; default and maximum 10 minutes.
	OrphanMS int64 `json:"orphan_ms,omitempty"`
}
