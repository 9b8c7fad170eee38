package client

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/stream"
)

// firstPatience is how long a monitor may be away when a connection is asked
// for.
const firstPatience = 10 * time.Second

// lettingGo is how long a closed connection may take to tell the guest so.
const lettingGo = 5 * time.Second

// Conn is a connection to an address in a guest. When the VM's monitor or the
// daemon is killed, it goes on with the next one: no byte is lost or comes twice.
type Conn struct {
	*link
	stop context.CancelFunc
	over chan struct{} // closed when err is set
	err  error
}

// DialGuest connects to an address in a running VM: network is tcp with
// HOST:PORT as the guest understands it, its loopback included, or unix with a
// path. ctx bounds the connecting and the connection. That nothing listens there
// is an *api.Error of the kind failed_precondition, after it was waited for.
func (c *Client) DialGuest(ctx context.Context, vm, network, address string, wait time.Duration) (*Conn, error) {
	at, err := c.VMConnect(ctx, vm)
	if err != nil {
		return nil, err
	}
	return OpenConn(ctx, c.monitorDialer(at), NewExecID(), api.DialSpec{Network: network, Address: address}, wait)
}

// OpenConn opens a connection under an ID of the caller's choice (NewExecID).
func OpenConn(ctx context.Context, dial ExecDialer, id string, spec api.DialSpec, wait time.Duration) (*Conn, error) {
	ctx, stop := context.WithCancel(ctx)
	l := &link{what: "connection", id: id, dial: dial, starts: true, waits: wait > 0, end: stream.NewClient()}
	c := &Conn{link: l, stop: stop, over: make(chan struct{})}
	c.call = func(start bool, out, _ uint64) (string, any) {
		req := api.DialOpenRequest{ID: id, StdoutOffset: out}
		if start {
			req.Start = &spec
		}
		return api.MethodDialOpen, req
	}
	conn, err := c.connect(ctx, c.patience(max(wait, firstPatience)))
	if err != nil {
		stop()
		var refused *api.Error
		if errors.As(err, &refused) { // the last attempt's; there was no connection to lose
			err = refused
		}
		return nil, err
	}
	go c.run(ctx, conn)
	return c, nil
}

func (c *Conn) run(ctx context.Context, conn net.Conn) {
	defer close(c.over)
	defer c.stop()
	go func() {
		select {
		case <-c.end.Exited():
			c.end.Finish() // what came is in the receiver already
		case <-c.over:
		}
	}()
	if c.err = c.serve(ctx, conn, time.Minute); c.err != nil {
		c.end.Close(c.err)
		return
	}
	exit, err := decodeExit(c.end.Exit())
	if err == nil && exit.Error != "" {
		err = api.NewError(api.KindUnavailable, "the connection broke in the guest: "+exit.Error, "")
	}
	c.err = err
}

// Read reads what comes from the address, io.EOF at its end.
func (c *Conn) Read(p []byte) (int, error) { return c.end.Receiver(stream.Stdout).Read(p) }

// Write writes to the address; syscall.EPIPE where that takes no more.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.end.Sender(stream.Stdin).Write(p)
	if errors.Is(err, stream.ErrStopped) {
		err = syscall.EPIPE
	}
	return n, err
}

// CloseWrite tells the address that no more is written; what it sends is read on.
func (c *Conn) CloseWrite() error { return c.end.Sender(stream.Stdin).Close() }

// Wait waits for the end of both directions; the error says that the connection
// broke. All that came must be read meanwhile.
func (c *Conn) Wait() error {
	<-c.over
	return c.err
}

// Close drops the connection and waits until the guest knows; one that cannot
// be told within some seconds finds out by itself later.
func (c *Conn) Close() error {
	c.end.Receiver(stream.Stdout).Stop()
	err := errors.Join(c.CloseWrite(), c.end.Signal(int(syscall.SIGHUP)))
	select {
	case <-c.over:
		return nil
	case <-time.After(lettingGo):
	}
	c.stop()
	<-c.over
	return err
}
