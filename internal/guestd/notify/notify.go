// Package notify is how the other roles of banger-guest tell the agent how far
// the system is: a word on a Unix socket that only root can reach.
package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// The socket, and where it is once systemd has pivoted away from the root.
const (
	socket    = "/run/banger/agent.sock"
	oldSocket = "/oldroot" + socket
)

// What can be told.
const (
	Ready    = "ready"    // the image's init has finished starting
	Stopping = "stopping" // it begins to stop
	halted   = "halted "
	asked    = "asked "
	note     = "note "
	session  = "session "
)

// Halted says that every disk is flushed and read-only.
func Halted(action wire.Halt) string { return halted + string(action) }

// ParseHalted undoes Halted.
func ParseHalted(word string) (wire.Halt, bool) {
	action, ok := strings.CutPrefix(word, halted)
	halt := wire.Halt(action)
	return halt, ok && (halt == wire.HaltPoweroff || halt == wire.HaltReboot)
}

// Asked says that a shutdown was asked of a PID 1 that cannot do it yet.
func Asked(action wire.Halt) string { return asked + string(action) }

// ParseAsked undoes Asked.
func ParseAsked(word string) (wire.Halt, bool) {
	action, ok := strings.CutPrefix(word, asked)
	halt := wire.Halt(action)
	return halt, ok && (halt == wire.HaltPoweroff || halt == wire.HaltReboot)
}

// Note is something that the boot put right or could not do.
func Note(text string) string { return note + strings.ReplaceAll(text, "\n", " ") }

// ParseNote undoes Note.
func ParseNote(word string) (string, bool) { return strings.CutPrefix(word, note) }

// Session says that a login session is open for a process.
func Session(pid int) string { return session + strconv.Itoa(pid) }

// ParseSession undoes Session.
func ParseSession(word string) (pid int, ok bool) {
	text, ok := strings.CutPrefix(word, session)
	pid, err := strconv.Atoi(text)
	return pid, ok && err == nil && pid > 0
}

const (
	maxWord = 1024
	done    = "ok\n"

	tryAgain = 100 * time.Millisecond
)

// Send tells the agent word and waits, at most limit, until it has passed it on.
func Send(word string, limit time.Duration) error {
	conn, err := net.DialTimeout("unix", socket, limit)
	if errors.Is(err, os.ErrNotExist) {
		conn, err = net.DialTimeout("unix", oldSocket, limit)
	}
	if err != nil {
		return fmt.Errorf("reaching banger's agent: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	word = word[:min(len(word), maxWord-1)]
	if _, err := io.WriteString(conn, word+"\n"); err != nil {
		return fmt.Errorf("telling banger's agent %q: %w", word, err)
	}
	reply, err := bufio.NewReader(io.LimitReader(conn, maxWord)).ReadString('\n')
	if err != nil || reply != done {
		return errors.Join(fmt.Errorf("banger's agent did not take %q", word), err)
	}
	return nil
}

// Listen opens the agent's end.
func Listen() (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Serve hands every word to take and acknowledges it when take returns
// without an error, until ctx ends.
func Serve(ctx context.Context, l net.Listener, take func(ctx context.Context, word string) error) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("listening for the system's state: %w", err)
		}
		if err != nil { // no descriptors or memory: that passes
			time.Sleep(tryAgain)
			continue
		}
		go receive(ctx, conn, take)
	}
}

// receive reads one word; whoever sent it sees by the missing reply that
// something was wrong with it.
func receive(ctx context.Context, conn net.Conn, take func(ctx context.Context, word string) error) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(10*time.Second)) != nil {
		return
	}
	word, err := bufio.NewReader(io.LimitReader(conn, maxWord)).ReadString('\n')
	if err != nil || take(ctx, strings.TrimSuffix(word, "\n")) != nil {
		return
	}
	_, _ = io.WriteString(conn, done) // the sender may have stopped waiting
}
