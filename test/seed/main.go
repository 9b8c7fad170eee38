// Command seed fills banger's cache with what every first VM needs, the Debian
// image and the kernel's package, so that demo and tests need not wait for
// them: it runs beside the build, and so imports no more than it must. It
// prints the cache's directory; with a warm cache that is all it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/places"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cache, err := seed(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "seed:", err)
		stop()
		os.Exit(1)
	}
	fmt.Println(cache)
}

// seed fills the cache and returns where it is.
func seed(ctx context.Context, out io.Writer) (cache string, err error) {
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		return "", err
	}
	cache = p.CacheDir
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("making the cache's directory: %w", err)
	}
	scratch, err := os.MkdirTemp(cache, "seed-")
	if err != nil {
		return "", fmt.Errorf("making a directory to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := &printer{w: out, start: time.Now(), last: map[string]time.Time{}}
	jobs := []func(context.Context, string, string, *printer) error{seedKernel, seedImage}
	done := make(chan error, len(jobs))
	for _, job := range jobs {
		go func() { done <- job(ctx, cache, scratch, lines) }()
	}
	for range jobs {
		if e := <-done; e != nil {
			cancel(e) // there is no use in half a cache
			err = errors.Join(err, e)
		}
	}
	return cache, err
}

func seedKernel(ctx context.Context, cache, _ string, lines *printer) error {
	source := debian.New(debian.Config{CacheDir: cache}, hostexec.Host{})
	name, err := source.Prefetch(ctx, lines.print)
	if err == nil {
		lines.print("kernel: "+name, 0, 0)
	}
	return err
}

func seedImage(ctx context.Context, cache, scratch string, lines *printer) (err error) {
	log := slog.New(slog.NewTextHandler(lines.w, &slog.HandlerOptions{Level: slog.LevelWarn}))
	maker := bootstrap.New(bootstrap.Config{CacheDir: filepath.Join(cache, "images"), UID: os.Geteuid()}, hostexec.Host{}, log)
	if there, err := maker.Cached(ctx); err != nil || there {
		return err
	}
	dir := filepath.Join(scratch, "image")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, maker.Discard(context.WithoutCancel(ctx), dir)) }()
	img, err := maker.Make(ctx, dir, func(p operation.Progress) { lines.print(p.Phase, p.Done, p.Total) })
	if err == nil {
		lines.print("image: "+img.OS, 0, 0)
	}
	return err
}

// printer writes a line for every new phase, and for one that goes on now and
// then.
type printer struct {
	w     io.Writer
	start time.Time

	mu   sync.Mutex
	last map[string]time.Time // by phase
}

const everySoOften = 5 * time.Second

func (p *printer) print(phase string, done, total int64) {
	now := time.Now()
	p.mu.Lock()
	said, known := p.last[phase]
	quiet := known && now.Sub(said) < everySoOften
	if !quiet {
		p.last[phase] = now
	}
	p.mu.Unlock()
	if quiet {
		return
	}
	share := ""
	if total > 0 {
		share = fmt.Sprintf(" %d%%", done*100/total)
	}
	fmt.Fprintf(p.w, "seed %4.0f s  %s%s\n", now.Sub(p.start).Seconds(), phase, share)
}
