package residue

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
)

// list is the entries of a directory; a missing one has none. What e2fsck keeps
// in a directory that is a disk of its own is not banger's.
func list(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "lost+found" }), err
}

// remove is the stray of a file or directory.
func (l look) remove(path string, dir bool, why string) Stray {
	s := Stray{Kind: File, What: path, Why: why, Command: "rm -f " + doctor.Quote(path)}
	if dir {
		s.Kind, s.Command = Directory, "rm -rf "+doctor.Quote(path)
	}
	if dir && l.subordinate(path) {
		s.Command = "unshare --user --map-root-user --map-auto -- " + s.Command
	}
	return s
}

// subordinate reports whether a directory may have files of the user's
// subordinate IDs, as an image in the making has.
func (l look) subordinate(path string) bool {
	return l.UID != 0 && strings.Contains(filepath.Base(path), "making-")
}

// unfinished is what nobody can have worked with.
func (l look) unfinished(path string, dir bool, why string) Stray {
	s := l.remove(path, dir, why)
	s.Sure = !l.subordinate(path)
	return s
}

// vmFiles finds directories of VMs that no record knows.
func (l look) vmFiles(context.Context) (strays []Stray, _ error) {
	entries, err := list(l.vms())
	for _, e := range entries {
		if _, ok := l.VMs[e.Name()]; !ok {
			s := l.remove(filepath.Join(l.vms(), e.Name()), e.IsDir(), "there is no VM "+e.Name())
			s.Sure = l.Unmade[e.Name()]
			strays = append(strays, s)
		}
	}
	return strays, err
}

// halfMade are the names under which things are made and removed; while an
// operation has not ended they may be its own.
var halfMade = []string{".making-", ".deleting-", ".installing-"}

// stateFiles finds images and kernels that no record knows, what was half-made or
// sent for a VM and never taken, and a database that was never finished.
func (l look) stateFiles(ctx context.Context) ([]Stray, error) {
	if l.Busy {
		return nil, nil
	}
	strays, err := l.unrecorded(filepath.Join(l.StateDir, "images"), l.Images, "image")
	if err != nil {
		return nil, err
	}
	kernels, err := l.unrecorded(filepath.Join(l.StateDir, "kernels"), l.Kernels, "kernel")
	if err != nil {
		return nil, err
	}
	strays = append(strays, kernels...)
	programs, err := list(filepath.Join(l.StateDir, "vmm"))
	if err != nil {
		return nil, err
	}
	for _, p := range programs {
		some, err := l.halfMade(filepath.Join(l.StateDir, "vmm", p.Name()))
		if err != nil {
			return nil, err
		}
		strays = append(strays, some...)
	}
	sent, err := list(filepath.Join(l.StateDir, "auth"))
	if err != nil {
		return nil, err
	}
	for _, e := range sent {
		strays = append(strays, l.remove(filepath.Join(l.StateDir, "auth", e.Name()), false, "no operation takes what was sent for a VM"))
	}
	for _, name := range []string{"banger.db.new", "banger.db.new-wal", "banger.db.new-shm", "ssh/config.new", "ssh/known_hosts.new"} {
		if path := filepath.Join(l.StateDir, name); there(path) {
			strays = append(strays, l.unfinished(path, false, "it was never finished"))
		}
	}
	return strays, ctx.Err()
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// unrecorded finds directories of things with an ID that no record knows. A link
// is none: kernels have one to the default.
func (l look) unrecorded(dir string, known map[string]string, what string) (strays []Stray, _ error) {
	entries, err := list(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, ok := known[e.Name()]; !ok && e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			strays = append(strays, l.remove(filepath.Join(dir, e.Name()), true, "there is no "+what+" "+e.Name()))
		}
	}
	half, err := l.halfMade(dir)
	return append(strays, half...), err
}

func (l look) halfMade(dir string) (strays []Stray, _ error) {
	entries, err := list(dir)
	for _, e := range entries {
		for _, prefix := range halfMade {
			if strings.HasPrefix(e.Name(), prefix) {
				strays = append(strays, l.unfinished(filepath.Join(dir, e.Name()), e.IsDir(), "no operation works on it"))
			}
		}
	}
	return strays, err
}

// socket finds the daemon's, where nobody answers on it. Others that lie beside
// it may be anybody's: the directory is for the user to choose.
func (l look) socket(ctx context.Context) ([]Stray, error) {
	info, err := os.Lstat(l.Socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, nil
	}
	answers, err := l.Listens(ctx, l.Socket)
	if err != nil || answers {
		return nil, err
	}
	s := l.remove(l.Socket, false, "nobody listens on it")
	s.Kind = Socket
	return []Stray{s}, nil
}

// abandoned is how long nobody has written to something that is made within
// minutes. The cache is every state directory's, so who makes it is not known.
const abandoned = time.Hour

// cache finds what was half-made there and given up.
func (l look) cache(context.Context) (strays []Stray, _ error) {
	for _, pattern := range []string{"images/making-*", "kernels/fetch-*", "fetch-*", "probe/.kvm-*"} {
		paths, err := filepath.Glob(filepath.Join(escape(l.CacheDir), pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if info, err := os.Lstat(path); err == nil && l.Now().Sub(lastWrite(path, info)) > abandoned {
				strays = append(strays, l.unfinished(path, info.IsDir(), "nobody has worked on it for an hour"))
			}
		}
	}
	return strays, nil
}

// escape keeps a path from being a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// lastWrite is when something, or what it holds, was last written to.
func lastWrite(path string, info fs.FileInfo) time.Time {
	last := info.ModTime()
	entries, err := os.ReadDir(path)
	if err != nil {
		return last // a file, or somebody else's
	}
	for _, e := range entries {
		if in, err := e.Info(); err == nil && in.ModTime().After(last) {
			last = in.ModTime()
		}
	}
	return last
}

// records finds records whose files are gone.
func (l look) records(context.Context) (strays []Stray, _ error) {
	for _, id := range slices.Sorted(maps.Keys(l.VMs)) {
		vm := l.VMs[id]
		if dir := filepath.Join(l.vms(), id); vm.Made && !there(dir) {
			strays = append(strays, Stray{Kind: Record, What: "VM " + vm.Name, Why: "its directory " + dir + " is gone", Command: "banger rm -f " + doctor.Quote(vm.Name)})
		}
	}
	if l.Busy {
		return strays, nil
	}
	strays = append(strays, l.lost("image", l.Images)...)
	return append(strays, l.lost("kernel", l.Kernels)...), nil
}

// lost finds those records of images or kernels.
func (l look) lost(what string, known map[string]string) (strays []Stray) {
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if dir := filepath.Join(l.StateDir, what+"s", id); !there(dir) {
			strays = append(strays, Stray{Kind: Record, What: what + " " + known[id], Why: "its directory " + dir + " is gone", Command: "banger " + what + " rm " + doctor.Quote(known[id])})
		}
	}
	return strays
}
