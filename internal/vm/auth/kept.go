package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
)

// kept is machine.AuthFile: what a VM has, and what it was to have no more. A
// path that is gone comes back only where a user asks for that.
type kept struct {
	wire.Auth
	Off bool `json:"off,omitempty"`
	// NoGit and NoKeys are for these what Gone is for files.
	NoGit  bool `json:"no_git,omitempty"`
	NoKeys bool `json:"no_keys,omitempty"`
	// Left says of files that are gone with which state they went, by its number.
	Left map[string]uint64 `json:"left,omitempty"`
}

// number is which state of a VM's an ID is of: each has a greater one than those
// before it. 0 is of what has none.
func number(id string) uint64 {
	text, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || text == id {
		return 0
	}
	return n
}

// with returns what is kept once a client has sent something.
func (has kept) with(s Sent) (kept, error) {
	next := has
	switch {
	case s.Off:
		next = has.without(Removal{})
	case has.Off && !s.Asked:
		return has, nil
	default:
		next.Off = has.Off && s.Git == nil && s.Keys == nil // files alone change nothing else
		next.merge(s)
	}
	if err := next.Check(); err != nil {
		return has, fault.New(fault.Invalid, "Take something away first, with: banger auth rm", "it cannot be added to what the VM has: %w", err)
	}
	return next.renamed(has), nil
}

func (has *kept) merge(s Sent) {
	if s.Git != nil && (s.Asked || !has.NoGit) {
		has.Git, has.NoGit = s.Git, false
		if *s.Git == (credential.Git{}) {
			has.Git = nil
		}
	}
	if s.Keys != nil && (s.Asked || !has.NoKeys) {
		has.Keys, has.NoKeys = slices.Clip(s.Keys), false
		if len(s.Keys) == 0 {
			has.Keys = nil
		}
	}
	files, gone, left := slices.Clone(has.Files), slices.Clone(has.Gone), maps.Clone(has.Left)
	for _, f := range s.Files {
		if at := slices.Index(gone, f.Path); at >= 0 {
			if !s.Asked {
				continue
			}
			gone = slices.Delete(gone, at, at+1)
			delete(left, f.Path)
		}
		files = append(slices.DeleteFunc(files, func(old credential.File) bool { return old.Path == f.Path }), f)
	}
	slices.SortFunc(files, func(a, b credential.File) int { return cmp.Compare(a.Path, b.Path) })
	has.Files, has.Gone, has.Left = files, gone, left
}

// Removal says what is to be taken away; the zero value is all that there is.
type Removal struct {
	Paths []string `json:"paths,omitempty"`
	Git   bool     `json:"git,omitempty"`
	Keys  bool     `json:"keys,omitempty"`
}

func (what Removal) all() bool { return len(what.Paths) == 0 && !what.Git && !what.Keys }

// without returns what is kept once something is taken away.
func (has kept) without(what Removal) kept {
	next := kept{NoGit: has.NoGit || what.Git, NoKeys: has.NoKeys || what.Keys, Auth: wire.Auth{ID: has.ID, Set: has.Set, Gone: slices.Clone(has.Gone)}, Off: has.Off, Left: maps.Clone(has.Left)}
	if what.all() {
		next.Set, next.Off, next.NoGit, next.NoKeys = credential.Set{}, true, false, false
	}
	if what.Git {
		next.Git = nil
	}
	if what.Keys {
		next.Keys = nil
	}
	next.Files = nil
	for _, f := range has.Files {
		if !what.all() && !slices.Contains(what.Paths, f.Path) {
			next.Files = append(next.Files, f)
			continue
		}
		next.Gone = append(next.Gone, f.Path)
		if next.Left == nil {
			next.Left = map[string]uint64{}
		}
		next.Left[f.Path] = number(has.ID) + 1
	}
	if n := len(next.Gone); n > wire.MaxGone {
		next.Gone = next.Gone[n-wire.MaxGone:]
		maps.DeleteFunc(next.Left, func(path string, _ uint64) bool { return !slices.Contains(next.Gone, path) })
	}
	return next.renamed(has)
}

// renamed gives what differs from before an ID of its own.
func (has kept) renamed(before kept) kept {
	if has.ID = before.ID; !reflect.DeepEqual(has, before) {
		b := make([]byte, 8) // a directory may be put back as it was earlier
		rand.Read(b)
		has.ID = fmt.Sprintf("%d-%x", number(before.ID)+1, b)
	}
	return has
}

func (k *Keeper) dir(id string) string { return filepath.Join(k.cfg.Dir, id) }

// read returns what is kept of a VM; nil: nothing was ever sent.
func (k *Keeper) read(id string) (*kept, error) {
	var has kept
	err := jsonfile.Read(k.dir(id), machine.AuthFile, &has)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Precondition, "Write it anew with: banger auth rm and the VM's name alone, then banger auth push.",
			"what the VM is given of its user's own cannot be read: %w", err)
	}
	return &has, nil
}

// current is read with an empty state for none; anew has it so for what cannot be
// read too.
func (k *Keeper) current(id string, anew bool) (kept, error) {
	has, err := k.read(id)
	switch {
	case err != nil && anew:
		k.log.Warn("what cannot be read is written anew", "vm", id, "err", err)
		return kept{}, nil
	case err != nil || has == nil:
		return kept{}, err
	}
	return *has, nil
}

// change changes what is kept of a VM; whoever calls it has the VM's claim.
func (k *Keeper) change(ctx context.Context, id string, anew bool, to func(kept) (kept, error)) (kept, error) {
	has, err := k.current(id, anew)
	if err != nil {
		return kept{}, err
	}
	next, err := to(has)
	if err != nil || next.ID == has.ID {
		return next, err
	}
	if ctx.Err() != nil { // whoever waits for it is gone, and perhaps the claim
		return has, context.Cause(ctx)
	}
	return next, jsonfile.Write(k.dir(id), machine.AuthFile, next)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
