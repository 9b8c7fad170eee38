package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// Places in the directory that is worked in.
const (
	given    = "given"    // what was fetched, as it came
	unpacked = "unpacked" // the programs
	ready    = "ready"    // holds them in a directory named as their version
)

// dir is where an installation works, beside what it becomes.
func (w work) dir() string { return filepath.Join(w.home(w.VMM), ".installing-"+w.ID) }

// discard removes all traces of an installation that came to nothing.
func (w work) discard() error {
	if err := os.RemoveAll(w.dir()); err != nil {
		return err
	}
	err := os.Remove(w.home(w.VMM)) // unless another version is installed
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}

// fetch copies what is given to where nobody changes it any more.
func (w work) fetch(ctx context.Context, report operation.Report) (err error) {
	if err := os.RemoveAll(w.dir()); err != nil { // of an attempt that a crash ended
		return err
	}
	if err := os.MkdirAll(w.dir(), 0o700); err != nil {
		return fmt.Errorf("making the directory to install in: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.cfg.Timeout, fault.New(fault.Deadline,
		"Fetch it yourself, and install it from the file.", "%s did not arrive within %v", shown(w.From), w.cfg.Timeout))
	defer cancel()
	src, size, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	if size > w.cfg.MaxGiven {
		return w.tooLarge()
	}
	f, err := os.OpenFile(filepath.Join(w.dir(), given), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keeping what is fetched: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := &reader{ctx: ctx, from: src, total: size, report: report}
	n, err := io.Copy(f, io.LimitReader(in, w.cfg.MaxGiven+1))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case in.err != nil:
		return fault.New(fault.Unavailable, "Try again.", "fetching %s broke off after %d bytes: %w", shown(w.From), n, in.err)
	case err != nil:
		return fmt.Errorf("keeping what is fetched: %w", err)
	case n > w.cfg.MaxGiven:
		return w.tooLarge()
	}
	return nil
}

func (w work) tooLarge() error { return w.wrong("it is larger than %d MiB", w.cfg.MaxGiven>>20) }

// open opens what is given; a size below 0 is not known.
func (w work) open(ctx context.Context) (io.ReadCloser, int64, error) {
	if remote(w.From) {
		return w.get(ctx)
	}
	// Not to wait for the writer of a pipe.
	f, err := os.OpenFile(w.From, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fault.New(fault.NotFound, "", "there is no file %s", w.From)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, 0, fault.New(fault.Precondition, "The daemon reads it, as the user that it runs as.", "%s may not be read", w.From)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = w.wrong("it is no regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (w work) get(ctx context.Context) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.From, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := w.cfg.Client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		var u *url.Error
		if errors.As(err, &u) { // its own text repeats the address
			err = u.Err
		}
		return nil, 0, fault.New(fault.Unavailable, "Check the address and the network.", "%s cannot be fetched: %w", shown(w.From), err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // nothing was read from it
		return nil, 0, fault.New(fault.Unavailable, "Check the address.", "%s cannot be fetched: the server answers %q", shown(w.From), resp.Status)
	}
	return resp.Body, resp.ContentLength, nil
}

// compare compares the checksum of what was fetched.
func (w work) compare(ctx context.Context) error {
	f, err := os.Open(filepath.Join(w.dir(), given))
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &reader{ctx: ctx, from: f}); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != w.SHA256 {
		return w.wrong("its SHA-256 sum is %s, not %s", got, w.SHA256)
	}
	return nil
}

// reader reads until its context ends, and tells how far it is.
type reader struct {
	ctx    context.Context
	from   io.Reader
	report operation.Report // may be nil
	done   int64
	total  int64
	err    error // of from, to tell it from a writer's
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.from.Read(p)
	r.done += int64(n)
	if r.report != nil {
		r.report(operation.Progress{Phase: "fetching", Done: r.done, Total: max(r.total, 0), Unit: "bytes"})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// shown is from as people see it: what comes after an address's ? may be secret.
func shown(from string) string {
	u, err := url.Parse(from)
	if err != nil || !remote(from) {
		return from
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}
