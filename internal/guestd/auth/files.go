package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/guestd/identity"
)

// errOwn says that something is in a file's place.
var errOwn = errors.New("there is one of the guest's own, which stays")

// kept is the name in runDir of the file that is at a path.
func kept(at string) string {
	sum := sha256.Sum256([]byte(at))
	return hex.EncodeToString(sum[:8])
}

// mark is what tells one file at a path from another.
type mark [sha256.Size]byte

func (to *receiver) mark(f credential.File) mark {
	return sha256.Sum256(fmt.Appendf(nil, "%d %d %o %s", to.user.UID, to.user.GID, f.Mode, []byte(f.Data)))
}

// put writes a file and a link to it. It is the user's, in etc root's. One that
// was given already and is there is not written again.
func (to *receiver) put(f credential.File, already bool) error {
	name := runDir + "/" + kept(f.Path)
	uid, gid := int(to.user.UID), int(to.user.GID)
	if strings.HasPrefix(f.Path, credential.Etc) {
		uid, gid = os.Geteuid(), os.Getegid()
	}
	err := to.at(f.Path, func(dir *os.Root, rel string, mode fs.FileMode) error { return link(dir, rel, "/"+name, mode) })
	if err != nil {
		return err
	}
	if st, err := to.root.Lstat(name); already && err == nil && st.Mode().IsRegular() {
		return nil
	}
	// Until it is there the link leads nowhere: who reads it early sees none of it.
	err = identity.Replace(to.root, name, f.Data, fs.FileMode(f.Mode))
	if err == nil {
		err = to.root.Lchown(name, uid, gid)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("it cannot be written: %w", cause(err)), to.remove(f.Path))
	}
	return nil
}

// remove takes a file and the link to it away; one of the guest's own stays.
func (to *receiver) remove(at string) error {
	return errors.Join(
		ignoreMissing(to.root.Remove(runDir+"/"+kept(at))),
		ignoreMissing(to.at(at, func(dir *os.Root, rel string, _ fs.FileMode) error {
			if ours(dir, rel) == "" {
				return nil
			}
			return dir.Remove(rel)
		})))
}

// sweep removes what is in runDir and not to be kept.
func (to *receiver) sweep(keep map[string]bool) error {
	all, err := fs.ReadDir(to.root.FS(), runDir)
	errs := []error{err}
	for _, e := range all {
		if !keep[e.Name()] {
			errs = append(errs, to.root.RemoveAll(runDir+"/"+e.Name()))
		}
	}
	return errors.Join(errs...)
}

// at calls f with the directory that a path is below, the rest of the path, and
// the mode of directories that are made on the way: in the home with the user's
// rights, so whatever is made is the user's.
func (to *receiver) at(p string, f func(dir *os.Root, rel string, mode fs.FileMode) error) error {
	if rel, ok := strings.CutPrefix(p, credential.Etc); ok {
		dir, err := to.root.OpenRoot("etc")
		if err != nil {
			return cause(err)
		}
		defer dir.Close()
		return f(dir, rel, 0o755)
	}
	if !path.IsAbs(to.user.Home) || path.Clean(to.user.Home) == "/" {
		return fmt.Errorf("the user %s has no home", to.user.Name)
	}
	return to.user.As(func() error {
		dir, err := os.OpenRoot(to.home)
		if err != nil {
			return fmt.Errorf("the home cannot be opened: %w", cause(err))
		}
		defer dir.Close()
		return f(dir, strings.TrimPrefix(p, credential.Home), 0o700)
	})
}

// link makes a link to target, with the directories that it is in. None of these
// may be a link.
func link(dir *os.Root, rel, target string, mode fs.FileMode) error {
	parts := strings.Split(rel, "/")
	for i := range parts[:len(parts)-1] {
		name := strings.Join(parts[:i+1], "/")
		st, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = dir.Mkdir(name, mode)
		} else if err == nil && !st.IsDir() {
			return errors.New("what it is to be in is no directory")
		}
		if err != nil {
			return fmt.Errorf("its directory cannot be made: %w", cause(err))
		}
	}
	has := ours(dir, rel)
	if has == target {
		return nil
	}
	if _, err := dir.Lstat(rel); err == nil && has == "" {
		return errOwn
	}
	if has != "" {
		if err := dir.Remove(rel); err != nil {
			return fmt.Errorf("its link cannot be made: %w", cause(err))
		}
	}
	err := dir.Symlink(target, rel)
	if errors.Is(err, fs.ErrExist) {
		return errOwn
	}
	if err != nil {
		return fmt.Errorf("its link cannot be made: %w", cause(err))
	}
	return nil
}

// ours returns where a link of ours leads, "" for anything else.
func ours(dir *os.Root, rel string) string {
	to, err := dir.Readlink(rel)
	if err != nil || !strings.HasPrefix(to, "/"+runDir+"/") {
		return ""
	}
	return to
}

// cause is an error without the path in it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
