package unit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	systemd          = "org.freedesktop.systemd1"
	unitInterface    = "org.freedesktop.systemd1.Unit"
	managerPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerInterface = "org.freedesktop.systemd1.Manager"
	login            = "org.freedesktop.login1"
	loginPath        = dbus.ObjectPath("/org/freedesktop/login1")
)

// The errors of systemd and logind that mean something to us.
const (
	errUnitExists = "org.freedesktop.systemd1.UnitExists"
	errNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit"
	errNoSuchUser = "org.freedesktop.login1.NoSuchUser"
)

// conn is a connection to a manager, or to a bus.
type conn struct{ *dbus.Conn }

// dial connects to a manager's own socket, which is no bus: there is no Hello.
func dial(ctx context.Context, socket string) (*conn, error) {
	// The library's error hides what it was.
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	c, err := dbus.Dial("unix:path="+dbus.EscapeBusAddressValue(socket), dbus.WithContext(ctx))
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, ErrNone
	}
	if err == nil {
		if err = c.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
			err = errors.Join(err, c.Close())
		}
	}
	if err == nil {
		if err = knock(ctx, c); err != nil {
			err = errors.Join(err, c.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to systemd: %w", said(ctx, err))
	}
	return &conn{c}, nil
}

// knock makes sure that systemd listens. What it reads together with the end of
// the authentication it leaves unseen until more comes, and it hangs up if
// there are descriptors in that.
func knock(ctx context.Context, c *dbus.Conn) error {
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		ping := c.Object(systemd, managerPath).GoWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0, make(chan *dbus.Call, 1))
		select {
		case <-ping.Done:
			return ping.Err
		case <-time.After(pause):
		}
	}
}

// dialBus connects to a message bus.
func dialBus(ctx context.Context, socket string) (*conn, error) {
	c, err := dbus.Connect("unix:path="+dbus.EscapeBusAddressValue(socket), dbus.WithContext(ctx),
		dbus.WithAuth(dbus.AuthExternal(strconv.Itoa(os.Geteuid()))))
	if err != nil {
		return nil, said(ctx, err)
	}
	return &conn{c}, nil
}

// call calls the manager.
func (c *conn) call(ctx context.Context, method string, args, results []any) error {
	err := c.Object(systemd, managerPath).CallWithContext(ctx, managerInterface+"."+method, 0, args...).Store(results...)
	return said(ctx, err)
}

func (c *conn) property(ctx context.Context, path dbus.ObjectPath, iface, name string, value any) error {
	var v dbus.Variant
	err := c.Object(systemd, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, name).Store(&v)
	if err == nil {
		err = v.Store(value)
	}
	return said(ctx, err)
}

// lingers asks logind. It knows no user who has no session and does not linger.
func (c *conn) lingers(ctx context.Context, uid int) (lingers bool, err error) {
	var user dbus.ObjectPath
	err = c.Object(login, loginPath).CallWithContext(ctx, login+".Manager.GetUser", 0, uint32(uid)).Store(&user)
	if named(err, errNoSuchUser) {
		return false, nil
	}
	var v dbus.Variant
	if err == nil {
		err = c.Object(login, user).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, login+".User", "Linger").Store(&v)
	}
	if err == nil {
		err = v.Store(&lingers)
	}
	return lingers, said(ctx, err)
}

// said prefers the reason why we gave up to the closed connection that follows.
func said(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// named reports whether err is the D-Bus error of that name.
func named(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}
