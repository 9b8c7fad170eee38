package enclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
)

// fdWarden is the warden's end of its connection.
const fdWarden = 3

// maxMessage bounds one message of the connection.
const maxMessage = 64 << 10

// order is what a warden is made for: nothing else can be asked of it, so it
// gives a confined process nothing but this one program, again and again.
type order struct {
	Stage []string `json:"stage"`
	Path  string   `json:"path"`
	Plan  Plan     `json:"plan"`
}

// answer is what a warden tells.
type answer struct {
	Started *hostexec.ID   `json:"started,omitempty"`
	Error   string         `json:"error,omitempty"`
	Ended   *hostexec.Exit `json:"ended,omitempty"`
	PID     int            `json:"pid,omitempty"` // of what ended
}

// serveWarden starts the program whenever it is asked to, until its connection
// ends. The programs live on.
func serveWarden() error {
	debug.SetGCPercent(20) // one waits for each running VM
	conn, err := fileConn(os.NewFile(fdWarden, "warden"))
	if err != nil {
		return err
	}
	defer conn.Close()
	first, _, err := receive(conn)
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(first, &o); err != nil {
		return fmt.Errorf("reading what to start: %w", err)
	}
	debug.FreeOSMemory()
	for {
		_, files, err := receive(conn)
		if err != nil {
			return nil //nolint:nilerr // who asked has gone, however it did
		}
		send(conn, o.start(conn, files))
	}
}

// start starts the program with the files that came along.
func (o order) start(conn *net.UnixConn, files []*os.File) answer {
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if len(files) < 3 {
		return answer{Error: "the program's files did not come along"}
	}
	proc, err := Starter{Stage: o.Stage}.Start(o.Path, o.Plan,
		Files{Stdin: files[0], Stdout: files[1], Stderr: files[2], Extra: files[3:]})
	if err != nil {
		return answer{Error: err.Error()}
	}
	go func() {
		if exit, err := proc.Wait(context.Background()); err == nil {
			send(conn, answer{Ended: &exit, PID: proc.ID().PID})
		}
	}()
	id := proc.ID()
	return answer{Started: &id}
}

// send tells what it can: whoever is gone needs no answer.
func send(conn *net.UnixConn, a answer) {
	if b, err := json.Marshal(a); err == nil {
		_, _ = conn.Write(b)
	}
}

// Warden is a process that starts one program for one that no longer can.
type Warden struct {
	conn *net.UnixConn
	proc *hostexec.Process

	asking  chan struct{} // held by who waits for an answer
	answers chan answer

	mu    sync.Mutex
	exits map[int]hostexec.Exit
	told  chan struct{} // closed and renewed with each exit
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
		Name: s.Stage[0], Args: append(append([]string{}, s.Stage[1:]...), roleWarden), Dir: "/",
		ExtraFiles: []*os.File{theirs},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a warden: %w", err), conn.Close())
	}
	w := &Warden{
		conn: conn, proc: proc, asking: make(chan struct{}, 1), answers: make(chan answer, 1),
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
		for _, f := range files {
			f.Close() // it sends none
		}
		var a answer
		if err != nil || json.Unmarshal(b, &a) != nil {
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
	case a.Started == nil:
		return nil, errors.New(a.Error)
	}
	return hostexec.Open(*a.Started)
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

func fileConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("using a warden's connection: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("a warden's connection is no Unix socket"), c.Close())
	}
	return conn, nil
}

// receive takes one message and the files that came along.
func receive(conn *net.UnixConn) ([]byte, []*os.File, error) {
	buf, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(8*4))
	n, oobn, flags, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return nil, nil, err
	}
	var files []*os.File
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		fds, rerr := unix.ParseUnixRights(&m)
		err = errors.Join(err, rerr)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	switch {
	case n == 0:
		err = net.ErrClosed
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.Join(err, errors.New("a message of a warden is too long"))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, nil, err
	}
	return buf[:n], files, nil
}
