package unit

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// Listed is a service that a manager has loaded.
type Listed struct {
	Name string
	Dir  string // in which it was started
}

// listed is a unit of the D-Bus type (ssssssouso).
type listed struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	Job                                             uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// Services are the services whose names match a pattern, as a shell's; none
// where there is no manager.
func (m *Manager) Services(ctx context.Context, pattern string) (found []Listed, err error) {
	if !m.Present() {
		return nil, nil
	}
	err = m.with(ctx, func(ctx context.Context, c *conn) error {
		var units []listed
		if err := c.call(ctx, "ListUnitsByPatterns", []any{[]string{}, []string{pattern}}, []any{&units}); err != nil {
			return err
		}
		for _, u := range units {
			s := Listed{Name: u.Name}
			err := c.property(ctx, u.Path, "org.freedesktop.systemd1.Service", "WorkingDirectory", &s.Dir)
			if named(err, errNoSuchUnit) {
				continue // it has ended since
			}
			if err != nil {
				return err
			}
			found = append(found, s)
		}
		return nil
	})
	return found, err
}
