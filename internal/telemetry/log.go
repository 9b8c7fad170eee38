// Package telemetry sets up logging: one slog handler, to a file of capped
// size, with the level and format of the configuration.
package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// Config says how to log.
type Config struct {
	Level    string // debug, info (default), warn, error
	Format   string // text (default) or json
	File     string // "" or "-": standard error
	MaxBytes int64  // the file is rotated to FILE.1 beyond; default 8 MiB
}

// Open makes the logger. The closer belongs to the caller.
func Open(cfg Config) (*slog.Logger, io.Closer, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(or(cfg.Level, "info"))); err != nil {
		return nil, nil, fmt.Errorf("the log level %q is not one of debug, info, warn, error", cfg.Level)
	}
	var out io.WriteCloser = nopCloser{os.Stderr}
	if cfg.File != "" && cfg.File != "-" {
		f, err := openCapped(cfg.File, cfg.MaxBytes)
		if err != nil {
			return nil, nil, err
		}
		out = f
	}
	opts := &slog.HandlerOptions{Level: level}
	switch strings.ToLower(cfg.Format) {
	case "", "text":
		return slog.New(slog.NewTextHandler(out, opts)), out, nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, opts)), out, nil
	}
	return nil, nil, errors.Join(fmt.Errorf("the log format %q is not one of text, json", cfg.Format), out.Close())
}

func or(v, d string) string {
	if v == "" {
		return d
	}
	return v
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// capped is a file that is moved to NAME.1 when it grows beyond max.
type capped struct {
	path string
	max  int64
	mu   sync.Mutex // guards the following; the file is the leaf here
	file *os.File
	size int64
}

func openCapped(path string, limit int64) (*capped, error) {
	if limit <= 0 {
		limit = 8 << 20
	}
	c := &capped{path: path, max: limit}
	return c, c.open()
}

func (c *capped) open() error {
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	c.file, c.size = f, info.Size()
	return nil
}

func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+int64(len(p)) > c.max && c.size > 0 {
		if err := errors.Join(os.Rename(c.path, c.path+".1"), c.file.Close(), c.open()); err != nil {
			return 0, err
		}
	}
	n, err := c.file.Write(p)
	c.size += int64(n)
	return n, err
}

func (c *capped) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.Close()
}
