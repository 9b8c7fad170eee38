package unit

import (
	"context"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"

	"github.com/banger-vm/banger/internal/calm"
)

// Service is a process that systemd starts and watches. Nothing but it ends
// with it: what it started lives on.
type Service struct {
	Name        string // ends in .service
	Description string
	Program     string   // absolute
	Args        []string // without the program's own name
	Dir         string
	Env         []string // on top of the manager's own
	// Stdin and Stderr are handed over; nil is /dev/null. Standard output is
	// /dev/null.
	Stdin, Stderr *os.File
	Slack         calm.Slack // how late its timers may be; 0 is as usual
}

// command is a command line of the D-Bus type (sasas).
type command struct {
	Path  string
	Argv  []string
	Flags []string
}

// Start starts a service and returns once its program runs.
func (m *Manager) Start(ctx context.Context, s Service) error {
	settings := []property{
		set("Description", s.Description),
		set("Type", "exec"),
		// Without the flag a dollar sign in a path would be taken for a variable.
		set("ExecStartEx", []command{{s.Program, append([]string{s.Program}, s.Args...), []string{"no-env-expand"}}}),
		set("WorkingDirectory", s.Dir),
		set("Environment", environment(s.Env)),
		set("KillMode", "process"),
		set("OOMPolicy", "continue"),
		set("NoNewPrivileges", true),
		set("StandardOutput", "null"),
	}
	if s.Slack > 0 {
		settings = append(settings, set("TimerSlackNSec", uint64(s.Slack)))
	}
	if s.Stdin != nil {
		settings = append(settings, set("StandardInputFileDescriptor", dbus.UnixFD(s.Stdin.Fd())))
	}
	if s.Stderr != nil {
		settings = append(settings, set("StandardErrorFileDescriptor", dbus.UnixFD(s.Stderr.Fd())))
	}
	return m.with(ctx, func(ctx context.Context, c *conn) error {
		return c.start(ctx, s.Name, settings, func() bool { return false })
	})
}

// own are the variables in which systemd tells a process about itself.
var own = map[string]bool{
	"INVOCATION_ID": true, "JOURNAL_STREAM": true, "LISTEN_FDS": true, "LISTEN_FDNAMES": true, "LISTEN_PID": true,
	"MAINPID": true, "MANAGERPID": true, "NOTIFY_SOCKET": true, "SYSTEMD_EXEC_PID": true, "WATCHDOG_PID": true, "WATCHDOG_USEC": true,
}

// environment leaves out what systemd sets itself, and what it takes for
// damaged: one such variable, and it would refuse all.
func environment(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, v := range env {
		name, value, ok := strings.Cut(v, "=")
		if ok && !own[name] && plainName(name) && plainValue(value) {
			kept = append(kept, v)
		}
	}
	return kept
}

func plainName(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

func plainValue(value string) bool {
	control := func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f }
	return utf8.ValidString(value) && strings.IndexFunc(value, control) < 0
}
