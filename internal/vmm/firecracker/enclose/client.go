package enclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
)

// Warden is a process that starts one program for one that no longer can.
type Warden struct {
	conn *net.UnixConn
	proc *hostexec.Process

	asking  chan struct{} // held by who waits for an answer
	answers chan started

	mu    sync.Mutex
	exits map[int]hostexec.Exit
	told  chan struct{} // closed and renewed with each exit
}

// started is an answer, with the pidfd of what was started.
type started struct {
	answer
	pidfd *os.File
}

// NewWarden makes a warden for the program at path as p has it.
func (s Starter) NewWarden(path string, p Plan) (*Warden, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a warden's connection: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "warden")
	defer theirs.Close()
	conn, err := fileConn(os.NewFile(uintptr(pair[0]), "warden"))
	if err != nil {
		return nil, err
	}
	first, err := json.Marshal(order{Stage: s.Stage, Path: path, Plan: p})
	if err == nil {
		_, err = conn.Write(first)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("telling a warden what to start: %w", err), conn.Close())
	}
	proc, err := hostexec.Spawn(hostexec.Daemon{
		Name: s.Stage[0], Title: "warden of " + p.Args[0], Args: append(append([]string{}, s.Stage[1:]...), roleWarden), Dir: "/",
		ExtraFiles: []*os.File{theirs},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a warden: %w", err), conn.Close())
	}
	w := &Warden{
		conn: conn, proc: proc, asking: make(chan struct{}, 1), answers: make(chan started, 1),
		exits: map[int]hostexec.Exit{}, told: make(chan struct{}),
	}
	go w.listen()
	return w, nil
}

// PID is the warden's own process.
func (w *Warden) PID() int { return w.proc.ID().PID }

// listen sorts what the warden tells, until it ends.
func (w *Warden) listen() {
	defer close(w.answers)
	for {
		b, files, err := receive(w.conn)
		if err != nil {
			return
		}
		var a started
		for i, f := range files {
			if i == 0 {
				a.pidfd = f
				continue
			}
			f.Close() // it sends one
		}
		if json.Unmarshal(b, &a.answer) != nil {
			return
		}
		if a.Ended == nil {
			w.answers <- a
			continue
		}
		w.mu.Lock()
		w.exits[a.PID] = *a.Ended
		close(w.told)
		w.told = make(chan struct{})
		w.mu.Unlock()
	}
}

// Start has the program started.
func (w *Warden) Start(ctx context.Context, f Files) (*hostexec.Process, error) {
	select {
	case w.asking <- struct{}{}:
		defer func() { <-w.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	fds := []int{int(f.Stdin.Fd()), int(f.Stdout.Fd()), int(f.Stderr.Fd())}
	for _, extra := range f.Extra {
		fds = append(fds, int(extra.Fd()))
	}
	if _, _, err := w.conn.WriteMsgUnix([]byte("start"), unix.UnixRights(fds...), nil); err != nil {
		return nil, fmt.Errorf("asking the warden to start the VMM: %w", err)
	}
	a, ok := <-w.answers // it never waits for anything itself
	switch {
	case !ok:
		return nil, errors.New("the warden that starts the VMM has ended")
	case a.Started == nil || a.pidfd == nil:
		return nil, errors.New(a.Error)
	}
	defer a.pidfd.Close()
	return hostexec.Hold(*a.Started, a.pidfd)
}

// Exit is how a program that was started ended; it waits for the word of it.
func (w *Warden) Exit(ctx context.Context, pid int) (hostexec.Exit, bool) {
	for {
		w.mu.Lock()
		exit, ok := w.exits[pid]
		told := w.told
		delete(w.exits, pid)
		w.mu.Unlock()
		if ok {
			return exit, true
		}
		select {
		case <-told:
		case <-ctx.Done():
			return hostexec.Exit{}, false
		case <-w.proc.Done():
			return hostexec.Exit{}, false
		}
	}
}

// Close ends the warden; what it started lives on.
func (w *Warden) Close() error { return errors.Join(w.conn.Close(), w.proc.Close()) }
