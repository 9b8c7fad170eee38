package files

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/archive"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/stream"
)

// copying is a copy under way, either way.
type copying struct {
	end    *stream.End
	user   *login.User
	ctx    context.Context
	cancel context.CancelFunc
}

func newCopying(end *stream.End, u *login.User) copying {
	ctx, cancel := context.WithCancel(context.Background())
	return copying{end: end, user: u, ctx: ctx, cancel: cancel}
}

// open calls prepare and then, where that does not refuse, lets work go on
// alone; both with the user's rights. The exit follows work.
func (c *copying) open(prepare, work func() error) *wire.ExecFail {
	ready := make(chan error)
	go func() {
		prepared := false
		err := c.user.As(func() error {
			if err := prepare(); err != nil {
				return err
			}
			prepared = true
			close(ready)
			return work()
		})
		if !prepared {
			ready <- err
			return
		}
		c.finish(err)
	}()
	err := <-ready
	if err == nil {
		return nil
	}
	c.cancel()
	e := told(err)
	return &wire.ExecFail{Kind: string(e.Kind), Message: e.Message, Hint: e.Hint}
}

// finish makes the exit known.
func (c *copying) finish(err error) {
	c.cancel()
	c.end.Receiver(stream.Stdin).Stop()
	c.end.Sender(stream.Stdout).Close() // marks the stream's end, as the next, which cannot fail
	c.end.Sender(stream.Stderr).Close()
	exit := api.FilesExit{}
	if err != nil {
		exit.Error = told(err)
	}
	payload, err := json.Marshal(exit)
	if err != nil { // it is three texts
		payload = []byte(`{"error":{"kind":"internal","message":"the copy ended in an impossible way"}}`)
	}
	c.end.SetExit(payload)
}

// told is an error as the client gets it, within a frame.
func told(err error) *api.Error {
	const most = 500 // bytes, of which JSON may make six each
	var e *api.Error
	switch {
	case errors.As(err, &e):
		bounded := *e
		e = &bounded
	case errors.Is(err, context.Canceled), errors.Is(err, stream.ErrStopped), errors.Is(err, stream.ErrClosed):
		e = api.NewError(api.KindCanceled, "the copy was given up", "")
	default:
		e = api.NewError(api.KindInternal, err.Error(), "")
	}
	if len(e.Message) > most {
		e.Message = strings.ToValidUTF8(e.Message[:most], "") + "…"
	}
	return e
}

// skipped tells the client of a file that is left out.
func (c *copying) skipped(s api.FilesSkipped) {
	line, err := json.Marshal(s)
	if err == nil { // it is two texts
		// Fails only when the copy is over.
		_, _ = c.end.Sender(stream.Stderr).Write(append(line, '\n'))
	}
}

// at is a path as the user means it.
func (c *copying) at(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	// Not path.Join, which would take away what "/." and "/" at the end mean.
	return strings.TrimSuffix(c.user.Home, "/") + "/" + p
}

// put is a copy into the guest.
type put struct {
	copying
	spec  api.FilesPutSpec
	place *archive.Place
}

func newPut(end *stream.End, u *login.User, spec api.FilesPutSpec) *put {
	return &put{copying: newCopying(end, u), spec: spec}
}

func (p *put) Open() *wire.ExecFail {
	return p.open(func() (err error) {
		p.place, err = archive.OpenPlace(p.at(p.spec.Path), archive.Rules{
			Side: archive.InGuest, Into: p.spec.Into, Foreign: p.spec.Foreign, Setuid: p.spec.Setuid,
		})
		return err
	}, func() error {
		defer p.place.Close() // nothing is written by it
		return p.place.Unpack(p.ctx, p.end.Receiver(stream.Stdin), new(archive.Count), p.skipped)
	})
}

// Drop gives the copy up; what is unfinished is removed.
func (p *put) Drop() {
	p.cancel()
	p.end.Receiver(stream.Stdin).Stop()
}

// get is a copy from the guest.
type get struct {
	copying
	spec    api.FilesGetSpec
	sources []archive.Source
}

func newGet(end *stream.End, u *login.User, spec api.FilesGetSpec) *get {
	return &get{copying: newCopying(end, u), spec: spec}
}

func (g *get) Open() *wire.ExecFail {
	return g.open(func() (err error) {
		paths := make([]string, len(g.spec.Paths))
		for i, p := range g.spec.Paths {
			paths[i] = g.at(p)
			if archive.Top(p) == "." && path.Base(paths[i]) != "." { // as "" is what is in the home
				paths[i] = strings.TrimSuffix(paths[i], "/") + "/."
			}
		}
		g.sources, err = archive.Sources(paths, archive.InGuest, g.spec.FollowLinks)
		return err
	}, func() error {
		return archive.Pack(g.ctx, g.end.Sender(stream.Stdout), g.sources, new(archive.Count), g.skipped)
	})
}

// Drop gives the copy up. A client that does so reads no more, or is gone.
func (g *get) Drop() {
	g.cancel()
	g.end.Sender(stream.Stdout).Close()
}
