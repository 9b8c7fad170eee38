package residue

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/doctor"
)

// list is the entries of a directory; a missing one has none.
func list(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// remove is the stray of a file or directory.
func (l look) remove(path string, dir bool, why string) Stray {
	s := Stray{File, path, why, "rm -f " + doctor.Quote(path)}
	if dir {
		s.Kind, s.Command = Directory, "rm -rf "+doctor.Quote(path)
	}
	// An image in the making has files of the user's subordinate IDs.
	if dir && l.UID != 0 && strings.Contains(filepath.Base(path), "making-") {
		s.Command = "unshare --user --map-root-user --map-auto -- " + s.Command
	}
	return s
}

// vmFiles finds directories of VMs that no record knows.
func (l look) vmFiles(context.Context) (strays []Stray, _ error) {
	entries, err := list(l.vms())
	for _, e := range entries {
		if _, ok := l.VMs[e.Name()]; !ok {
			strays = append(strays, l.remove(filepath.Join(l.vms(), e.Name()), e.IsDir(), "there is no VM "+e.Name()))
		}
	}
	return strays, err
}

// halfMade are the names under which things are made and removed; while an
// operation has not ended they may be its own.
var halfMade = []string{".making-", ".deleting-", ".installing-"}

// stateFiles finds images and kernels that no record knows, what was half-made,
// and a database that was never finished.
func (l look) stateFiles(ctx context.Context) ([]Stray, error) {
	if l.Busy {
		return nil, nil
	}
	var strays []Stray
	for name, known := range map[string]map[string]string{"images": l.Images, "kernels": l.Kernels} {
		some, err := l.unrecorded(filepath.Join(l.StateDir, name), known, strings.TrimSuffix(name, "s"))
		if err != nil {
			return nil, err
		}
		strays = append(strays, some...)
	}
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
	for _, name := range []string{"banger.db.new", "banger.db.new-wal", "banger.db.new-shm", "ssh/config.new", "ssh/known_hosts.new"} {
		if path := filepath.Join(l.StateDir, name); there(path) {
			strays = append(strays, l.remove(path, false, "it was never finished"))
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
				strays = append(strays, l.remove(filepath.Join(dir, e.Name()), e.IsDir(), "no operation works on it"))
			}
		}
	}
	return strays, err
}

// sockets finds those in the runtime directory on which nobody answers, and
// locks that are none of banger's two.
func (l look) sockets(ctx context.Context) (strays []Stray, _ error) {
	entries, err := list(l.RuntimeDir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(l.RuntimeDir, e.Name())
		switch {
		case e.Type() == fs.ModeSocket:
			answers, err := l.Listens(ctx, path)
			if err != nil {
				return nil, err
			}
			if !answers {
				s := l.remove(path, false, "nobody listens on it")
				s.Kind = Socket
				strays = append(strays, s)
			}
		case strings.HasSuffix(e.Name(), ".lock") && e.Name() != "start.lock":
			strays = append(strays, l.remove(path, false, "no program of banger's uses such a lock"))
		}
	}
	return strays, nil
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
				strays = append(strays, l.remove(path, info.IsDir(), "nobody has worked on it for an hour"))
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
	for id, vm := range l.VMs {
		if dir := filepath.Join(l.vms(), id); vm.Made && !there(dir) {
			strays = append(strays, Stray{Record, "VM " + vm.Name, "its directory " + dir + " is gone", "banger rm -f " + doctor.Quote(vm.Name)})
		}
	}
	if l.Busy {
		return strays, nil
	}
	for id, name := range l.Images {
		if dir := filepath.Join(l.StateDir, "images", id); !there(dir) {
			strays = append(strays, Stray{Record, "image " + name, "its directory " + dir + " is gone", "banger image rm " + doctor.Quote(name)})
		}
	}
	for id, name := range l.Kernels {
		if dir := filepath.Join(l.StateDir, "kernels", id); !there(dir) {
			strays = append(strays, Stray{Record, "kernel " + name, "its directory " + dir + " is gone", "banger kernel rm " + doctor.Quote(name)})
		}
	}
	return strays, nil
}
