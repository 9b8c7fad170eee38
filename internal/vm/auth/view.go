package auth

import (
	"maps"
	"slices"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vm"
)

type file = credential.File

// View is what a VM was given, without any content.
type View struct {
	Off      bool // it gets nothing until a user asks for it
	Git      *credential.Git
	Keys     []string
	Files    []FileView
	Problems []string // of a running guest, or of what is kept; sentences
}

// FileView is a file with credentials; State is half a sentence. Of one that was
// taken away and is still in the guest, Mode and Size are 0.
type FileView struct {
	Path  string
	Mode  uint32
	Size  int
	State string
}

// The states of a file that the guest says nothing of.
const (
	stateThere = "given"
	stateLater = "from the next start on"
	stateLate  = "the guest does not have it yet"
	stateStill = "still in the guest" // and taken away here
)

// Of returns what a VM was given, and what became of that; what cannot be read is
// a problem of the VM's, which is there all the same.
func (k *Keeper) Of(v vm.View) View {
	has, err := k.read(v.ID)
	if err != nil {
		f := fault.From(err)
		return View{Problems: []string{f.Message + "; " + f.Hint}}
	}
	if has == nil {
		return View{}
	}
	out := View{Off: has.Off, Git: has.Git, Keys: has.Keys}
	state := func(int) string { return stateLater }
	if v.Live != nil {
		state = func(int) string { return stateLate }
		if r := v.Live.Guest.Auth; r != nil && r.ID == has.ID {
			out.Problems = slices.Clone(r.Problems)
			state = func(i int) string {
				if i >= len(r.Files) {
					return stateLate // all was refused
				}
				if r.Files[i] != "" {
					return r.Files[i]
				}
				return stateThere
			}
		}
	}
	for i, f := range has.Files {
		out.Files = append(out.Files, FileView{Path: f.Path, Mode: f.Mode, Size: len(f.Data), State: state(i)})
	}
	for _, path := range has.stillIn(v.Live) {
		out.Files = append(out.Files, FileView{Path: path, State: stateStill})
	}
	return out
}

// stillIn are the files that were taken away and that a guest, which says what it
// has, has not heard of.
func (has kept) stillIn(live *machine.Status) (paths []string) {
	if live == nil || live.Guest.Auth == nil || live.Guest.Auth.ID == has.ID {
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(has.Left)) {
		if number(live.Guest.Auth.ID) < has.Left[path] {
			paths = append(paths, path)
		}
	}
	return paths
}
