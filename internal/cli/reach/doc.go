// Package reach is the commands by which programs of the host reach what is in
// a VM: OpenSSH and plain connections.
package reach
