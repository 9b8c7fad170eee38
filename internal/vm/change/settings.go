package change

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/size"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// settings are what can be changed of a VM.
type settings struct {
	spec.Shape
	Labels    map[string]string `json:"labels,omitempty"`
	Restart   spec.Restart      `json:"restart,omitempty"`
	Autostart bool              `json:"autostart,omitempty"`
}

func settingsOf(s spec.VM) settings {
	return settings{s.Shape(), maps.Clone(s.Labels), s.Restart, s.Autostart}
}

func (w settings) into(s *spec.VM) {
	s.Reshape(w.Shape)
	s.Labels, s.Restart, s.Autostart = maps.Clone(w.Labels), w.Restart, w.Autostart
}

// differs names the fields in which they differ, as JSON does.
func (w settings) differs(o settings) []string {
	fields := w.Shape.Differs(o.Shape)
	if !maps.Equal(w.Labels, o.Labels) {
		fields = append(fields, "labels")
	}
	if w.Restart != o.Restart {
		fields = append(fields, "restart")
	}
	if w.Autostart != o.Autostart {
		fields = append(fields, "autostart")
	}
	return fields
}

func (w settings) equal(o settings) bool { return len(w.differs(o)) == 0 }

// describe says what changes, for people.
func describe(was, want settings) string {
	var parts []string
	for _, field := range was.differs(want) {
		a, b := was.text(field), want.text(field)
		parts = append(parts, fmt.Sprintf("%s: %s to %s", field, a, b))
	}
	return strings.Join(parts, "; ")
}

func (w settings) text(field string) string {
	switch field {
	case "cpus":
		return strconv.Itoa(w.CPUs)
	case "memory":
		return size.Format(w.MemoryBytes)
	case "disk":
		return size.Format(w.DiskBytes)
	case "network":
		return w.Network
	case "allow_hosts":
		return list(w.AllowHosts)
	case "labels":
		var all []string
		for _, key := range slices.Sorted(maps.Keys(w.Labels)) {
			all = append(all, key+"="+w.Labels[key])
		}
		return list(all)
	case "restart":
		return w.Restart.String()
	}
	return strconv.FormatBool(w.Autostart)
}

func list(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
