// Package monitor is one VM's keeper: a small process that starts the VMM or
// takes a running one over, gives the guest its identity, holds its agent
// connection and its console, passes streams between clients and the agent,
// and says how the VM ended. It knows one VM and no store.
//
// It can be killed at any instant: the VM goes on, and the next monitor takes
// it over from what lies in the VM's directory (launch.json, status.json, the
// VMM's own records). Its death loses console output at most.
package monitor
