package control

import (
	"context"
	"errors"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/forward"
	"github.com/banger-vm/banger/internal/machine"
)

// ForwardRequest asks for these forwards in the place of all that there are.
type ForwardRequest struct {
	All  []forward.Forward `json:"all"`
	Auto bool              `json:"auto"`
}

// listening bounds the question what listens in a guest, which may be booting.
const listening = 40 * time.Second

// Forward implements machine.Ports.
func (r *Runtime) Forward(ctx context.Context, dir string, all []forward.Forward, auto bool) error {
	return r.askAbout(ctx, "forwards", dir, MethodForward, ForwardRequest{All: all, Auto: auto}, patience, &api.Empty{})
}

// Listening implements machine.Ports.
func (r *Runtime) Listening(ctx context.Context, dir string) (l machine.Listening, err error) {
	err = r.askAbout(ctx, "forwards", dir, MethodListening, api.Empty{}, listening, &l)
	return l, err
}

// askAbout makes a call that may be repeated, of a new monitor where the one
// that there was is killed; what an older monitor does not know is named.
func (r *Runtime) askAbout(ctx context.Context, what, dir, method string, params any, bound time.Duration, result any) error {
	for tries := 0; ; tries++ {
		if _, err := r.Status(ctx, dir); err != nil { // revives it
			return err
		}
		err := exchange(ctx, dir, method, params, bound, result)
		if err == nil || api.KindOf(err) != api.KindUnavailable || silent(err) || tries > 0 || ctx.Err() != nil {
			return told(err, "had no "+what)
		}
		if err := pause(ctx, tries); err != nil {
			return err
		}
	}
}

// told makes a fault of a monitor's word. What it refuses as invalid was checked
// before: it does not know the method, and older says what such a monitor lacks.
func told(err error, older string) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Kind == api.KindInvalid {
		return fault.New(fault.Precondition, "Stop and start the VM: its monitor comes with each start.",
			"the VM's monitor is of an older banger that %s", older)
	}
	return fault.New(fault.Kind(e.Kind), e.Hint, "%s", e.Message)
}
