package spec

import "slices"

// Shape is what a VM gets at its start and keeps while it runs.
type Shape struct {
	CPUs        int      `json:"cpus"`
	MemoryBytes int64    `json:"memory"`
	DiskBytes   int64    `json:"disk"` // of the work disk
	Network     string   `json:"network"`
	AllowHosts  []string `json:"allow_hosts,omitempty"`
}

// Shape returns what s asks for; it shares no memory with s.
func (s VM) Shape() Shape {
	return Shape{s.CPUs, s.MemoryBytes, s.DiskBytes, s.Network, slices.Clone(s.AllowHosts)}
}

// Reshape makes what s asks for into what it is to be.
func (s *VM) Reshape(to Shape) {
	s.CPUs, s.MemoryBytes, s.DiskBytes, s.Network = to.CPUs, to.MemoryBytes, to.DiskBytes, to.Network
	s.AllowHosts = slices.Clone(to.AllowHosts)
}

// Differs names the fields in which two shapes differ, as JSON does.
func (s Shape) Differs(o Shape) (fields []string) {
	for _, f := range []struct {
		name   string
		differ bool
	}{
		{"cpus", s.CPUs != o.CPUs},
		{"memory", s.MemoryBytes != o.MemoryBytes},
		{"disk", s.DiskBytes != o.DiskBytes},
		{"network", s.Network != o.Network},
		{"allow_hosts", !slices.Equal(s.AllowHosts, o.AllowHosts)},
	} {
		if f.differ {
			fields = append(fields, f.name)
		}
	}
	return fields
}
