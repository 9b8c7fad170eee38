package api

import "time"

// Kernel is a kernel that VMs run on.
type Kernel struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Origin  string `json:"origin"`  // "debian", the default one, or "imported"
	Release string `json:"release"` // uname -r
	Source  string `json:"source"`  // the package or file that it was made from
	// Lacks names the drivers, as /proc/modules shows them, that it has not and
	// some VMM, disk or network needs.
	Lacks     []string  `json:"lacks,omitempty"`
	SizeBytes int64     `json:"size"` // of its files on the host
	CreatedAt time.Time `json:"created_at"`
	VMs       []string  `json:"vms,omitempty"` // names of the VMs that run on it, or will
}

// KernelRef names a kernel by name, ID or unique ID prefix.
type KernelRef struct {
	Kernel string `json:"kernel"`
}

// KernelImportRequest asks for a kernel to be made of files of the daemon's
// host, which it reads as the user that it runs as.
type KernelImportRequest struct {
	Vmlinuz string `json:"vmlinuz"`        // absolute path of a bzImage or an ELF vmlinux
	Modules string `json:"modules"`        // absolute path of its /lib/modules/VERSION, or of what holds that
	Name    string `json:"name,omitempty"` // its version when empty
	Key     string `json:"idempotency_key,omitempty"`
}

// KernelDeleteRequest asks for a kernel to be removed. One that a VM runs on,
// or will, is not removed (failed_precondition).
type KernelDeleteRequest struct {
	Kernel string `json:"kernel"`
	Key    string `json:"idempotency_key,omitempty"`
}

// KernelList is a list of kernels, by name.
type KernelList struct {
	Kernels []Kernel `json:"kernels"`
}
