package monitor

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/monitor/control"
	"github.com/banger-vm/banger/internal/unit"
)

// scopes is a service manager that only takes scopes.
type scopes struct {
	control.Units
	absent bool
	refuse error
	made   []unit.Scope
}

func (s *scopes) Present() bool { return !s.absent }

func (s *scopes) Enclose(_ context.Context, scope unit.Scope) error {
	s.made = append(s.made, scope)
	return s.refuse
}

func TestSettle(t *testing.T) {
	s := &scopes{}
	settle := Settle(s, "/state/vms/4711", "dev")
	if err := settle(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	want := []unit.Scope{{Name: "banger-vmm-4711.scope", Description: "The VMM of banger's VM dev", PIDs: []int{12}}}
	if diff := cmp.Diff(want, s.made); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	s.refuse = errors.New("no")
	if err := settle(t.Context(), 12); !errors.Is(err, s.refuse) {
		t.Errorf("a refusal: %v", err)
	}
	s.refuse = unit.ErrNone
	if err := settle(t.Context(), 12); err != nil {
		t.Errorf("a manager that has left: %v", err)
	}
	s.absent, s.made = true, nil
	if err := settle(t.Context(), 12); err != nil || s.made != nil {
		t.Errorf("no manager: %v, %v", err, s.made)
	}
}
