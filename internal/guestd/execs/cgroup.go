package execs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// cgroups makes a cgroup for each command, where cgroup v2 is mounted. Early in
// a boot it is not yet, so that is looked up each time until it is.
type cgroups struct {
	root string

	mu   sync.Mutex
	base string // where ours are, "" until made
}

// cgroup is one command's.
type cgroup struct {
	dir    string
	fd     *os.File
	killed bool
}

// make makes a cgroup; nil where there can be none.
func (c *cgroups) make(id string) *cgroup {
	base := c.ready()
	if base == "" {
		return nil
	}
	dir := filepath.Join(base, "exec-"+id)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		c.forget()
		return nil
	}
	fd, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &cgroup{dir: dir, fd: fd}
}

func (c *cgroups) ready() string {
	c.mu.Lock()
	base := c.base
	c.mu.Unlock()
	if base != "" {
		return base
	}
	if _, err := os.Stat(filepath.Join(c.root, "cgroup.controllers")); err != nil {
		return ""
	}
	base = filepath.Join(c.root, "banger")
	if err := os.Mkdir(base, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = base
	return base
}

// forget makes the next command look again: another hierarchy may have been
// mounted over the one we knew.
func (c *cgroups) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = ""
}

// kill ends all processes in the cgroup; false where that cannot be done.
func (g *cgroup) kill() bool {
	if syscall.Rmdir(g.dir) == nil { // the usual case: it is empty
		return true
	}
	// Without O_CREATE: a file that is not there means an old kernel.
	f, err := os.OpenFile(filepath.Join(g.dir, "cgroup.kill"), os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.WriteString("1")
	g.killed = err == nil
	return g.killed
}

// remove removes the cgroup and those that the command has made in it; what
// was killed needs a moment to be gone.
func (g *cgroup) remove() error {
	_ = g.fd.Close() // opened for reading only
	err := removeTree(g.dir)
	for wait := time.Millisecond; g.killed && errors.Is(err, syscall.EBUSY) && wait < time.Second; wait *= 2 {
		time.Sleep(wait)
		err = removeTree(g.dir)
	}
	return err
}

func removeTree(dir string) error {
	err := syscall.Rmdir(dir)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil {
		return readErr
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return syscall.Rmdir(dir)
}
