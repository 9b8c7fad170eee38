// Package serial is the commands about a VM's serial console: what the guest
// said there, and sitting down at it.
package serial
