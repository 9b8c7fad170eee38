package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel"
)

// cached returns the package's file, fetched first where the cache does not
// hold it. What apt's index says of it is checked each time: a damaged file
// in the cache is dropped and fetched again.
func (s *Source) cached(ctx context.Context, d deb, report kernel.Report) (string, error) {
	cache := filepath.Join(s.cfg.CacheDir, "kernels")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(cache, d.sha256+".deb")
	if check(path, d) == nil {
		return path, nil
	}
	tmp, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // what stays in a cache harms nobody
	if err := s.download(ctx, d, tmp, report); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("apt-get download of %s left %d packages", d.name, len(files))
	}
	if err := check(files[0], d); err != nil {
		return "", err
	}
	return path, os.Rename(files[0], path)
}

// download has apt fetch the package into dir. apt would drop to its own user,
// who may not enter our directories; it is told not to, and it checks what it
// fetched in any case.
func (s *Source) download(ctx context.Context, d deb, dir string, report kernel.Report) error {
	report("kernel: downloading", 0, d.size)
	_, err := s.run.Run(ctx, hostexec.Cmd{
		Name: "apt-get",
		Args: []string{
			"-q", "-o", "APT::Sandbox::User=root", "-o", "APT::Status-Fd=1",
			"download", d.name + "=" + d.version,
		},
		Dir:    dir,
		Env:    append(os.Environ(), "LC_ALL=C.UTF-8"),
		Stdout: &statusWriter{size: d.size, report: report},
	})
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return fault.New(fault.Precondition, "Run banger on Debian.", "the default kernel comes from Debian's packages: %w", err)
	}
	var exit *hostexec.ExitError
	if errors.As(err, &exit) {
		return fault.New(fault.Unavailable, "Check the network; where the package is gone from the mirror: sudo apt-get update",
			"%s %s could not be fetched: %w", d.name, d.version, err)
	}
	return err
}

// check compares the file with what apt's index says of it.
func check(path string, d deb) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != d.sha256 {
		return fmt.Errorf("the package %s does not have the checksum that apt's index states", filepath.Base(path))
	}
	return nil
}

// statusWriter reads apt's status lines (dlstatus:N:PERCENT:TEXT).
type statusWriter struct {
	size   int64
	report kernel.Report
	line   []byte
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		line, rest, ok := bytes.Cut(w.line, []byte("\n"))
		if !ok {
			break
		}
		w.line = rest
		f := strings.SplitN(string(line), ":", 4)
		if len(f) < 4 || f[0] != "dlstatus" {
			continue
		}
		if percent, err := strconv.ParseFloat(f[2], 64); err == nil && percent >= 0 && percent <= 100 {
			w.report("kernel: downloading", int64(percent/100*float64(w.size)), w.size)
		}
	}
	if len(w.line) > 4096 { // no status line is that long
		w.line = w.line[:0]
	}
	return len(p), nil
}
