package lease

import (
	"context"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
)

// maxShown bounds the users that an error names.
const maxShown = 10

// Thing is what is to be deleted; What (such as "image") and Name are for people.
type Thing struct{ ID, What, Name string }

// Users names those that stand on the thing with that ID, besides who leases it.
type Users func(ctx context.Context, id string) ([]string, error)

// Unused refuses, with a fault.Precondition, a thing that users stand on.
func Unused(ctx context.Context, t Thing, users Users) error {
	names, err := users(ctx, t.ID)
	if err != nil {
		return err
	}
	return t.used(names)
}

// Delete calls remove, which makes it that nobody finds the thing any more,
// where nobody stands on it; meanwhile nobody can begin to.
func (l *Leases) Delete(ctx context.Context, t Thing, users Users, remove func() error) error {
	stop, holders := l.startDeleting(t.ID)
	if len(holders) > 0 {
		return t.used(holders)
	}
	defer stop()
	if err := Unused(ctx, t, users); err != nil {
		return err
	}
	return remove()
}

func (t Thing) used(by []string) error {
	if len(by) == 0 {
		return nil
	}
	slices.Sort(by)
	shown := by
	if len(shown) > maxShown {
		shown = append(slices.Clone(by[:maxShown]), "…")
	}
	return fault.New(fault.Precondition, "Remove them first: banger rm "+strings.Join(shown, " "),
		"the %s %s is in use by %s", t.What, t.Name, strings.Join(shown, ", "))
}
