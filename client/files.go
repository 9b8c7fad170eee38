package client

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/archive"
	"github.com/banger-vm/banger/internal/stream"
)

// CopyConfig says how files are copied. Its functions are called by the copy,
// and hold it up.
type CopyConfig struct {
	// User is whom it is done as in the guest, a name or uid: by that user's
	// rights, and what is put is that user's. Default: the image's login user.
	User string
	// FollowLinks: of a source that is a symbolic link take what it points to.
	FollowLinks bool
	Setuid      bool // keep setuid and setgid bits
	// MaxBytes bounds the content that Get writes here; 0 is no bound but that
	// a twentieth of the disk, or 1 GiB, stays free.
	MaxBytes int64
	// Progress is told, now and then, how much was copied so far.
	Progress func(CopyStats)
	// Skipped is told of each file that is left out: a device, a socket, a
	// pipe, and what cannot be read. After 10,000 they are only counted. Its
	// texts may be a guest's.
	Skipped func(api.FilesSkipped)
}

// CopyStats is how much was copied.
type CopyStats struct {
	Files   int64 // all but directories
	Bytes   int64 // of content, holes left out
	Skipped int64
}

// Files copies files between this host and a VM. A copy goes on where it was
// when the VM's monitor or the daemon is killed. No unfinished file is ever
// there under its name; when a copy fails, or its ctx ends, whole files stay.
type Files struct{ dial ExecDialer }

// Files is for the VM as it runs now. It makes one copy at a time.
func (c *Client) Files(ctx context.Context, vm string) (*Files, error) {
	at, err := c.VMConnect(ctx, vm)
	if err != nil {
		return nil, err
	}
	return NewFiles(c.monitorDialer(at)), nil
}

// NewFiles copies files over a dialer's connections.
func NewFiles(dial ExecDialer) *Files { return &Files{dial: dial} }

// Put copies files and trees of this host to dest in the guest: into it where
// that is a directory, else the one source by that name. Relative guest paths
// are of the user's home.
func (f *Files) Put(ctx context.Context, sources []string, dest string, cfg CopyConfig) (CopyStats, error) {
	from, err := archive.Sources(sources, archive.Here, cfg.FollowLinks)
	if err != nil {
		return CopyStats{}, err
	}
	spec := api.FilesPutSpec{User: cfg.User, Path: guestPath(dest), Into: len(sources) > 1, Setuid: cfg.Setuid}
	t, err := f.put(ctx, spec, cfg)
	if err != nil {
		return CopyStats{}, err
	}
	return t.finish(archive.Pack(t.ctx, t.end.Sender(stream.Stdin), from, &t.count, t.skipped))
}

// PutTar unpacks a tar archive in a directory of the guest. r may be read from
// after it returns, if the copy failed.
func (f *Files) PutTar(ctx context.Context, r io.Reader, dest string, cfg CopyConfig) (CopyStats, error) {
	t, err := f.put(ctx, api.FilesPutSpec{User: cfg.User, Path: guestPath(dest), Into: true, Foreign: true, Setuid: cfg.Setuid}, cfg)
	if err != nil {
		return CopyStats{}, err
	}
	sent := make(chan error, 1)
	go func() { // it may wait for input for ever
		_, err := io.Copy(counted{t.end.Sender(stream.Stdin), &t.count}, r)
		sent <- err
	}()
	select {
	case err = <-sent:
	case <-t.over: // the guest has refused it
	case <-t.ctx.Done():
		err = t.ctx.Err()
	}
	return t.finish(err)
}

func (f *Files) put(ctx context.Context, spec api.FilesPutSpec, cfg CopyConfig) (*transfer, error) {
	id := NewExecID()
	return f.begin(ctx, id, cfg, func(start bool, _, errs uint64) (string, any) {
		req := api.FilesPutRequest{ID: id, StderrOffset: errs}
		if start {
			req.Start = &spec
		}
		return api.MethodFilesPut, req
	})
}

// Get copies files and trees of the guest to dest on this host, as Put does.
// What comes is the caller's; it cannot reach outside of dest.
func (f *Files) Get(ctx context.Context, sources []string, dest string, cfg CopyConfig) (CopyStats, error) {
	place, err := archive.OpenPlace(dest, archive.Rules{
		Side: archive.Here, Into: len(sources) > 1, Tops: tops(sources), Setuid: cfg.Setuid, MaxBytes: cfg.MaxBytes, Reserve: true,
	})
	if err != nil {
		return CopyStats{}, err
	}
	defer place.Close() // nothing is written by it
	t, err := f.get(ctx, sources, cfg)
	if err != nil {
		return CopyStats{}, err
	}
	return t.finish(place.Unpack(t.ctx, t.end.Receiver(stream.Stdout), &t.count, t.skipped))
}

// GetTar writes files and trees of the guest to w as a tar archive, sparse
// files in the way of GNU tar.
func (f *Files) GetTar(ctx context.Context, sources []string, w io.Writer, cfg CopyConfig) (CopyStats, error) {
	t, err := f.get(ctx, sources, cfg)
	if err != nil {
		return CopyStats{}, err
	}
	return t.finish(archive.Standard(t.ctx, w, t.end.Receiver(stream.Stdout), tops(sources), &t.count))
}

func (f *Files) get(ctx context.Context, sources []string, cfg CopyConfig) (*transfer, error) {
	spec := api.FilesGetSpec{User: cfg.User, FollowLinks: cfg.FollowLinks}
	for _, s := range sources {
		spec.Paths = append(spec.Paths, guestPath(s))
	}
	id := NewExecID()
	return f.begin(ctx, id, cfg, func(start bool, out, errs uint64) (string, any) {
		req := api.FilesGetRequest{ID: id, StdoutOffset: out, StderrOffset: errs}
		if start {
			req.Start = &spec
		}
		return api.MethodFilesGet, req
	})
}

// tops are the names that a guest may send, as it was asked for these.
func tops(sources []string) []string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = archive.Top(guestPath(s))
	}
	return names
}

// guestPath takes the "~" off a path that is of the home anyway.
func guestPath(p string) string {
	if p == "~" {
		return ""
	}
	return strings.TrimPrefix(p, "~/")
}

// counted counts what is written.
type counted struct {
	io.Writer
	n *archive.Count
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Bytes.Add(int64(n))
	return n, err
}

// lost reports whether an error only says that the other end ended the stream.
func lost(err error) bool {
	return errors.Is(err, stream.ErrStopped) || errors.Is(err, stream.ErrClosed) || errors.Is(err, archive.ErrCut) || errors.Is(err, archive.ErrEmpty)
}
