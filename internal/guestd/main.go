// Package guestd is banger-guest: the three programs that run in a guest, and
// the two small ones that tell the agent about the system.
package guestd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guestd/agent"
	"github.com/banger-vm/banger/internal/guestd/auth"
	"github.com/banger-vm/banger/internal/guestd/boot"
	"github.com/banger-vm/banger/internal/guestd/dials"
	"github.com/banger-vm/banger/internal/guestd/execs"
	"github.com/banger-vm/banger/internal/guestd/files"
	"github.com/banger-vm/banger/internal/guestd/growfs"
	"github.com/banger-vm/banger/internal/guestd/identity"
	"github.com/banger-vm/banger/internal/guestd/listeners"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/guestd/notify"
	"github.com/banger-vm/banger/internal/guestd/power"
	"github.com/banger-vm/banger/internal/guestd/usersession"
	"github.com/banger-vm/banger/internal/version"
)

// notifyLimit bounds how long the agent is waited for.
const notifyLimit = 5 * time.Second

// sessionLimit bounds how long PAM may take to open a session.
const sessionLimit = time.Minute

// Main runs the role that argv names, and returns the exit code.
func Main(argv []string) int {
	verb := ""
	if len(argv) > 1 {
		verb = argv[1]
	}
	switch name := filepath.Base(argv[0]); {
	case name == agent.Name:
		return exit(runAgent())
	case name == "shutdown" && os.Getpid() == 1:
		power.Shutdown(verb)
	case name == "init" && os.Getpid() == 1:
		boot.Run()
	case name == power.InitName && os.Getpid() == 1: // somebody else has booted the guest
		return exit(power.RunInit(func() {}))
	case verb == "--version":
		fmt.Println(version.Version)
		return 0
	case verb == notify.Ready, verb == notify.Stopping:
		return exit(notify.Send(verb, notifyLimit))
	case verb == boot.SessionVerb:
		return exit(tellSession())
	}
	return exit(fmt.Errorf("banger-guest runs inside banger's VMs only"))
}

// tellSession tells the agent of the session that systemd has just opened, for
// a process whose number it gives.
func tellSession() error {
	pid, err := strconv.Atoi(os.Getenv("MAINPID"))
	if err != nil {
		return fmt.Errorf("systemd names no process: %w", err)
	}
	if err := usersession.Await(pid, sessionLimit); err != nil {
		return err
	}
	return notify.Send(notify.Session(pid), notifyLimit)
}

func exit(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "banger-guest:", err)
	return 1
}

// The descriptors that /init leaves: what it waits on, and banger-guest itself.
const (
	identified = 3
	program    = 4
)

// Detached commands' output is kept in memory, bounded: an open file on the
// root would keep that from becoming read-only at the end.
const (
	logDir  = "/run/banger/exec"
	logSize = 1 << 20
)

func runAgent() error {
	// What an exec leaves to collect is much beside the little that lives, and
	// a collection takes milliseconds of an emulated CPU.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(48 << 20)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.String("from", "banger") // the kernel's log has times
			}
			return a
		},
	}))
	var b agent.Boot
	if err := json.Unmarshal([]byte(os.Getenv(agent.BootEnv)), &b); err != nil {
		return fmt.Errorf("reading what /init left: %w", err)
	}
	if err := os.Unsetenv(agent.BootEnv); err != nil {
		return err
	}
	if err := unix.Close(program); err != nil {
		return fmt.Errorf("taking over from /init: %w", err)
	}
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return fmt.Errorf("making a place for the output of commands: %w", err)
	}
	unix.CloseOnExec(identified)
	sessions, users := usersession.New(log, usersession.Config{}), login.New("/etc")
	own := auth.New(users, auth.Config{})
	goOn := os.NewFile(identified, "identified")
	a, err := agent.New(log, agent.Config{
		Version: version.Version, Boot: b, Ask: power.Ask, Apply: identity.Apply, Auth: own.Give,
		Exec: func(user func() string) agent.Executor {
			return execs.New(log, execs.Config{User: user, LogDir: logDir, LogSize: logSize, Session: sessions.Of})
		},
		Dial: dials.New(log, dials.Config{}),
		Files: func(user func() string) (put, get http.Handler) {
			s := files.New(log, files.Config{User: user})
			return s.Put(), s.Get()
		},
		Listeners: listeners.New(log, listeners.Config{}),
		Ready: func(user string) {
			if u, ok := users.Lookup(cmp.Or(user, "root")); ok {
				if err := sessions.Open(u.UID); err != nil { // commands run without, as before
					log.Warn("there is no login session", "err", err)
				}
			}
		},
		Grow: func(ctx context.Context, home string, size int64) (int64, error) {
			if err := growfs.Await(ctx, boot.WorkDrive, size); err != nil {
				return 0, err
			}
			return growfs.Grow(boot.WorkDrive, home)
		},
		Session: sessions.Opened,
		Identified: func() error {
			defer goOn.Close()
			_, err := goOn.Write([]byte{1})
			return err
		},
	})
	if err != nil {
		return err
	}
	return a.Run(context.Background())
}
