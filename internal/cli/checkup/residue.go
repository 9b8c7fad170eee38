package checkup

import (
	"context"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/show"
)

// residue shows what belongs to no VM any more.
func (d *doctor) residue(ctx context.Context, asJSON bool) error {
	var r api.Residue
	if err := d.bangerd.ask(ctx, &r, "--residue"); err != nil {
		return err
	}
	var err error
	switch {
	case asJSON:
		err = d.JSON(r)
	case len(r.Strays) == 0:
		d.Say("Nothing is left over.")
	default:
		err = show.Strays(d.Out, r.Strays)
	}
	if err == nil && len(r.Strays) > 0 {
		err = app.CodeError(1)
	}
	return err
}
