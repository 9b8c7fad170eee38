// Package api holds the wire types of banger: the methods of the daemon and of
// a VM's monitor, their parameters and results, and the kinds of errors.
//
// The protocol is JSON-RPC 2.0, one message per line, over a Unix socket.
// docs/rpc.md is generated from this package. It imports the standard library
// only, so that any program can use it.
//
// Units: sizes are bytes, durations are milliseconds (fields end in _ms),
// times are RFC 3339 in UTC.
package api
