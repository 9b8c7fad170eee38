package unit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// Scope is a unit around processes that run already.
type Scope struct {
	Name        string // ends in .scope
	Description string
	PIDs        []int
}

// Enclose moves processes into a scope of their own, into the one that is there
// if its last process has not ended yet. Processes that are gone are no error.
func (m *Manager) Enclose(ctx context.Context, s Scope) error {
	if m.enclosed(s) {
		return nil
	}
	return m.with(ctx, func(ctx context.Context, c *conn) error {
		pids := make([]uint32, len(s.PIDs))
		for i, pid := range s.PIDs {
			pids[i] = uint32(pid)
		}
		err := c.start(ctx, s.Name, []property{
			set("Description", s.Description), set("PIDs", pids),
			set("Delegate", true), // or it takes no more processes
		}, func() bool { return c.call(ctx, "AttachProcessesToUnit", []any{s.Name, "", pids}, nil) == nil })
		if err != nil && m.enclosed(s) {
			return nil
		}
		return err
	})
}

// enclosed reports whether all of s's processes that live are in it.
func (m *Manager) enclosed(s Scope) bool {
	for _, pid := range s.PIDs {
		if in, err := m.Of(pid); !errors.Is(err, os.ErrProcessDone) && (err != nil || in != s.Name) {
			return false
		}
	}
	return true
}

// Of names the unit that holds a process; os.ErrProcessDone if there is none.
func (*Manager) Of(pid int) (string, error) {
	groups, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return "", fmt.Errorf("finding the unit of process %d: %w", pid, err)
	}
	return unitIn(string(groups)), nil
}

// unitIn finds the unit in /proc/PID/cgroup: the last part of the path in the
// hierarchy that systemd keeps.
func unitIn(groups string) string {
	for line := range strings.Lines(groups) {
		hierarchy, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		if name := path.Base(group); (hierarchy == "0" && controllers == "" || controllers == "name=systemd") && strings.Contains(name, ".") {
			return name
		}
	}
	return ""
}

// process is a process of a unit, of the D-Bus type (sus).
type process struct {
	Group   string
	PID     uint32
	Command string
}

// Leftovers are the processes that live on in a service that has ended; none
// while it runs, or when systemd does not know it.
func (m *Manager) Leftovers(ctx context.Context, service string) (pids []int, err error) {
	err = m.with(ctx, func(ctx context.Context, c *conn) error {
		var path dbus.ObjectPath
		var state string
		var left []process
		err := c.call(ctx, "GetUnit", []any{service}, []any{&path})
		if err == nil {
			err = c.property(ctx, path, unitInterface, "ActiveState", &state)
		}
		if err == nil && (state == "failed" || state == "inactive") {
			err = c.call(ctx, "GetUnitProcesses", []any{service}, []any{&left})
		}
		for _, p := range left {
			pids = append(pids, int(p.PID))
		}
		if named(err, errNoSuchUnit) {
			return nil
		}
		return err
	})
	return pids, err
}
