package qemu

import (
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm"
)

// record is vmm.json: what the starter knows and nobody can ask QEMU for.
type record struct {
	Process hostexec.ID `json:"process"`
	Accel   vmm.Accel   `json:"accel"`
	Started time.Time   `json:"started"`
	// Turns: the guest's processors take turns on one of the host's.
	Turns bool `json:"turns,omitempty"`
}
