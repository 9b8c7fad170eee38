// Package reaper puts right what a crash or a hand from outside left behind: it
// ends processes and removes files that belong to no VM and no operation any
// more. It acts only on what two looks found, what can be nothing but this state
// directory's, and what nobody's work can be lost with; of the rest it tells.
package reaper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/banger-vm/banger/internal/doctor/residue"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/hostexec"
)

// Config is what a Reaper is told besides its dependencies; zero values take the
// defaults.
type Config struct {
	Every time.Duration // between two looks; default 10 minutes
	Now   func() time.Time
}

// Reaper looks for strays again and again.
type Reaper struct {
	find   func(context.Context) ([]residue.Stray, error)
	events event.Publisher
	log    *slog.Logger
	cfg    Config
	told   map[string]bool // strays that are left alone, by what they are
}

// New makes a Reaper that acts on what find finds.
func New(find func(context.Context) ([]residue.Stray, error), events event.Publisher, log *slog.Logger, cfg Config) *Reaper {
	if cfg.Every == 0 {
		cfg.Every = 10 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Reaper{find: find, events: events, log: log, cfg: cfg, told: map[string]bool{}}
}

// Run looks at once, and then from time to time, until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	for tick := time.NewTicker(r.cfg.Every); ; {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("looking for what is left over failed", "err", err)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

func (r *Reaper) look(ctx context.Context) error {
	strays, err := r.find(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range strays {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !s.Sure:
			r.tell(s)
		default:
			errs = append(errs, r.remove(ctx, s))
		}
	}
	return errors.Join(errs...)
}

// tell says once what is for a person to decide.
func (r *Reaper) tell(s residue.Stray) {
	key := s.Kind + " " + s.What
	if r.told[key] {
		return
	}
	r.told[key] = true
	r.publish("daemon.stray", fmt.Sprintf("%s is left over: %s; see banger doctor --residue", key, s.Why))
}

func (r *Reaper) remove(ctx context.Context, s residue.Stray) error {
	var err error
	did := "removed"
	switch s.Kind {
	case residue.Process:
		did = "ended"
		err = end(ctx, s.Process)
	case residue.File, residue.Directory:
		err = os.RemoveAll(s.What)
	default: // what it is of is put right by itself, or is for a person
		r.tell(s)
		return nil
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s %s, of which %s: %w", s.Kind, s.What, s.Why, err)
	}
	r.publish("daemon.reaped", fmt.Sprintf("%s %s was %s: %s", s.Kind, s.What, did, s.Why))
	return nil
}

// end ends that very process, and waits for it.
func end(ctx context.Context, id hostexec.ID) error {
	p, err := hostexec.Open(id)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Kill(); err != nil {
		return err
	}
	_, err = p.Wait(ctx)
	return err
}

func (r *Reaper) publish(kind, message string) {
	r.log.Warn(message, "event", kind)
	r.events.Publish(event.Event{Time: r.cfg.Now(), Type: kind, Target: "daemon", Message: message})
}
