package enclose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"

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
		o.start(conn, files)
	}
}

// start starts the program with the files that came along, and tells it.
func (o order) start(conn *net.UnixConn, files []*os.File) {
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if len(files) < 3 {
		send(conn, answer{Error: "the program's files did not come along"})
		return
	}
	proc, err := Starter{Stage: o.Stage}.Start(o.Path, o.Plan,
		Files{Stdin: files[0], Stdout: files[1], Stderr: files[2], Extra: files[3:]})
	if err != nil {
		send(conn, answer{Error: err.Error()})
		return
	}
	id := proc.ID()
	send(conn, answer{Started: &id}, int(proc.Pass().Fd()))
	go func() {
		if exit, err := proc.Wait(context.Background()); err == nil {
			send(conn, answer{Ended: &exit, PID: id.PID})
		}
	}()
}

// send tells what it can: whoever is gone needs no answer.
func send(conn *net.UnixConn, a answer, fds ...int) {
	if b, err := json.Marshal(a); err == nil {
		_, _, _ = conn.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	}
}

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
