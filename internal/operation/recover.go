package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Recover takes up what an earlier daemon left behind: an interrupted
// operation is resumed, or rolled back where its plan says so; one that was
// being undone goes on being undone. It returns once all of them hold their
// claims again; they run on after that. One that cannot be taken up ends as
// failed: it must not keep the daemon, and all other VMs, from running.
func (r *Registry) Recover(ctx context.Context) error {
	left, err := r.journal.Operations(ctx, false)
	if err != nil {
		return fmt.Errorf("the interrupted operations could not be read: %w", err)
	}
	slices.Reverse(left) // oldest first
	for _, rec := range left {
		err := r.takeUp(ctx, rec)
		if err == nil {
			continue
		}
		r.log.Error("an interrupted operation cannot be taken up", "op", rec.ID, "kind", rec.Kind, "target", rec.Target, "err", err)
		rec.State, rec.Error, rec.EndedAt = Failed, stored(err, rec.ID), r.cfg.Now()
		if err := r.journal.UpdateOperation(ctx, rec); err != nil {
			return fmt.Errorf("the end of operation %s could not be stored: %w", rec.ID, err)
		}
	}
	return nil
}

func (r *Registry) takeUp(ctx context.Context, rec Record) error {
	plan, err := r.planOf(rec)
	if err == nil {
		rec.Steps, err = merge(rec.Steps, plan.Steps)
	}
	rec.Resumed++
	u := r.newRun(rec, plan)
	if err == nil && rec.State == Running && plan.RollBack {
		err = errors.New("the daemon ended while it ran")
	}
	if err != nil {
		u.update(func(rec *Record) {
			why := stored(err, rec.ID)
			if rec.Error != nil {
				why.Message = rec.Error.Message + "; " + why.Message
			}
			rec.State, rec.Error = Canceling, why
		})
	}
	release, err := r.claim(ctx, u, false)
	if err != nil {
		return err
	}
	if err := u.save(); err != nil {
		release()
		return err
	}
	how := "op.resumed"
	if u.snapshot().State == Canceling {
		how = "op.rolling_back"
	}
	u.log.Warn("taking up an interrupted operation", "how", how, "times", u.rec.Resumed)
	return r.launch(u, release, how)
}

// merge finds the journaled state of each step of a plan that may come from a
// newer program.
func merge(journaled []StepRecord, plan []Step) ([]StepRecord, error) {
	steps := make([]StepRecord, 0, len(plan))
	for _, s := range plan {
		i := slices.IndexFunc(journaled, func(j StepRecord) bool { return j.Name == s.Name })
		if i < 0 {
			steps = append(steps, StepRecord{Name: s.Name, State: StepPending})
			continue
		}
		steps = append(steps, journaled[i])
		journaled = slices.Delete(slices.Clone(journaled), i, i+1)
	}
	var lost []string
	for _, j := range journaled {
		if j.State != StepPending && j.State != StepUndone {
			lost = append(lost, j.Name)
		}
	}
	if len(lost) > 0 {
		return steps, fmt.Errorf("this version of banger has no step %s: an older one began it", strings.Join(lost, ", "))
	}
	return steps, nil
}
