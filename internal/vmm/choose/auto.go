package choose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/vmm"
)

// auto takes the first VMM that runs the guest with KVM; where none does, the
// first that runs it at all.
func (c *Chooser) auto(ctx context.Context, w Want) (Choice, error) {
	refused := map[string]error{} // the first refusal of each
	for _, accel := range []vmm.Accel{vmm.AccelKVM, vmm.AccelTCG} {
		if !wanted(w.Accel, accel) {
			continue
		}
		for i, name := range c.Order {
			why := "chosen: " + because(name, accel, c.Order[:i], refused)
			choice, err := c.fit(ctx, name, why, w, accel)
			if err == nil || context.Cause(ctx) != nil {
				return choice, err
			}
			if refused[name] == nil {
				refused[name] = err
			}
		}
	}
	return Choice{}, c.none(refused)
}

// because says why name was taken and none of those that come before it.
func because(name string, accel vmm.Accel, before []string, refused map[string]error) string {
	var why []string
	for _, other := range before {
		if err := refused[other]; err != nil {
			why = append(why, err.Error())
		}
	}
	if len(why) == 0 {
		return fmt.Sprintf("%s works with %s", name, strings.ToUpper(string(accel)))
	}
	return strings.Join(why, "; ")
}

// none is the fault where nothing fits: all reasons, and the first next step.
func (c *Chooser) none(refused map[string]error) error {
	var texts []string
	hint := ""
	for _, name := range c.Order {
		err := refused[name]
		if err == nil {
			continue
		}
		if text := err.Error(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
		var f *fault.Error
		if errors.As(err, &f) && hint == "" {
			hint = f.Hint
		}
	}
	return fault.New(fault.Precondition, hint, "no VMM here can run this VM: %s", strings.Join(texts, "; "))
}
