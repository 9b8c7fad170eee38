// Package rpc carries JSON-RPC 2.0 over Unix sockets, one message a line: the
// bounded lines, the sockets, the errors on the wire and the client. It knows
// no VMs. The server is in rpcserver, so that a client links none of it.
package rpc
