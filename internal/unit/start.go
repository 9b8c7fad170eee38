package unit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// collected is how long a unit that has ended may stand in the way of its
// successor: systemd forgets it as soon as it comes to it.
const collected = 3 * time.Second

// property is a setting of a unit, of the D-Bus type (sv).
type property struct {
	Name  string
	Value dbus.Variant
}

func set(name string, value any) property { return property{name, dbus.MakeVariant(value)} }

// auxiliary is a further unit of a request, of the D-Bus type (sa(sv)). We
// never have one.
type auxiliary struct {
	Name       string
	Properties []property
}

// failedError is a start that systemd began and that failed.
type failedError struct{ unit, result string }

func (e *failedError) Error() string {
	return fmt.Sprintf("systemd could not start %s (%s); its journal says why", e.unit, e.result)
}

// start starts a transient unit, which systemd forgets at its end, however it
// ends. It returns once the unit has started. While another of its name is
// there it waits, unless that one will do.
func (c *conn) start(ctx context.Context, name string, settings []property, willDo func() bool) error {
	settings = append([]property{set("CollectMode", "inactive-or-failed")}, settings...)
	deadline := time.Now().Add(collected)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := c.startOnce(ctx, name, settings)
		if !named(err, errUnitExists) {
			return err
		}
		if willDo() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("starting %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (c *conn) startOnce(ctx context.Context, name string, settings []property) error {
	signals := make(chan *dbus.Signal, 64)
	c.Signal(signals) // before the call: the job may end before we have its name
	defer c.RemoveSignal(signals)
	var job dbus.ObjectPath
	err := c.call(ctx, "StartTransientUnit", []any{name, "fail", settings, []auxiliary{}}, []any{&job})
	if named(err, errUnitExists) {
		return err
	}
	if err != nil {
		return fmt.Errorf("asking systemd to start %s: %w", name, err)
	}
	for {
		select {
		case s, ok := <-signals:
			if !ok {
				return said(ctx, errors.New("systemd has hung up"))
			}
			if result := ended(s, job); result == "done" {
				return nil
			} else if result != "" {
				return &failedError{name, result}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ended is the result of a job if the signal tells of its end, else "".
func ended(s *dbus.Signal, job dbus.ObjectPath) string {
	var id uint32
	var path dbus.ObjectPath
	var unit, result string
	if s.Name != managerInterface+".JobRemoved" || dbus.Store(s.Body, &id, &path, &unit, &result) != nil || path != job {
		return ""
	}
	return result
}
