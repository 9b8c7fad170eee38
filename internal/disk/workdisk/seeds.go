package workdisk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/disk/sparse"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/turn"
)

// maxSeeds bounds the seeds of a home, one for each size that VMs have: some
// 260 KiB each.
const maxSeeds = 8

// Seeds makes work disks as clones of prepared ones, the seeds, each of which is
// made when the first of its home and size is wanted. All clones have their
// seed's UUID: no guest ever sees two of them.
type Seeds struct {
	run hostexec.Runner

	turns turn.Set // at a directory: of whoever makes a seed there
}

// NewSeeds makes one; it keeps nothing that is not in the directories it is given.
func NewSeeds(run hostexec.Runner) *Seeds {
	return &Seeds{run: run}
}

// Make makes the work disk at path as Make does, out of a seed in dir, which is
// the home's alone and whose parent directory exists: once that is removed, with
// what it is for, no seed brings it back.
func (s *Seeds) Make(ctx context.Context, dir, path string, sizeBytes int64, h Home) error {
	if there(path) {
		return nil
	}
	m, err := newMaker(s.run, sizeBytes, h)
	if err != nil {
		return err
	}
	print, err := m.fingerprint()
	if err != nil {
		return err
	}
	seed := filepath.Join(dir, fmt.Sprintf("%s-%d.img", print, sizeBytes))
	for {
		if found, err := clone(ctx, path, seed, sizeBytes); found || err != nil {
			return err
		}
		if err := s.ensure(ctx, m, dir, seed); err != nil {
			return err
		}
	}
}

// clone makes a work disk of a seed, if that is there.
func clone(ctx context.Context, path, seed string, sizeBytes int64) (found bool, _ error) {
	from, err := os.Open(seed)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the image's prepared work disk cannot be read: %w", err)
	}
	defer from.Close()
	err = disk.WriteFile(path, func(to *os.File) error { return sparse.Clone(ctx, to, from, sizeBytes, nil) })
	if err != nil {
		return true, fmt.Errorf("the work disk could not be made: %w", err)
	}
	return true, nil
}

// ensure makes a seed, or waits for whoever makes one there: it removes what is
// left over, and must not meet what another is making.
func (s *Seeds) ensure(ctx context.Context, m maker, dir, seed string) error {
	release, err := s.turns.Take(ctx, dir)
	if err != nil {
		return err
	}
	defer release()
	if there(seed) { // made while we waited
		return nil
	}
	return m.makeSeed(ctx, dir, seed)
}

func (m maker) makeSeed(ctx context.Context, dir, seed string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the directory of the image's work disks: %w", err)
	}
	if err := thin(dir, seed); err != nil {
		return fmt.Errorf("removing older seeds of work disks: %w", err)
	}
	err := disk.WriteFile(seed, func(f *os.File) error {
		// On the disk before it has its name: after a power failure it would be
		// taken for whole, and so would all that is cloned from it.
		return errors.Join(m.fill(ctx, f), f.Sync())
	})
	if err != nil {
		return fmt.Errorf("the image's work disk could not be prepared: %w", err)
	}
	return nil
}

// thin removes the seeds that are of another fingerprint than the new one, and
// the oldest where there are too many. Whoever clones one just then has it open.
func thin(dir, seed string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	print, _, _ := strings.Cut(filepath.Base(seed), "-")
	var kept []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		switch of, _, _ := strings.Cut(e.Name(), "-"); {
		case err != nil:
			return err
		case of != print:
			err = os.Remove(filepath.Join(dir, e.Name()))
		case filepath.Ext(e.Name()) == ".img":
			kept = append(kept, info)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for ; len(kept) >= maxSeeds; kept = kept[1:] {
		if err := os.Remove(filepath.Join(dir, kept[0].Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// fingerprint is of all that a seed is made from, the tool included.
func (m maker) fingerprint() (string, error) {
	path, err := hostexec.LookPath(tool)
	if errors.Is(err, hostexec.ErrNotInstalled) {
		return "", fault.New(fault.Precondition, hintTools, "%w", err)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("looking at %s: %w", tool, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %d\n%q %d %d\n%x\n", path, info.Size(), info.ModTime().UnixNano(), m.options(), m.home.UID, m.home.GID, m.skel.print)
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
