// Package cgroup gives each command in the guest a cgroup of its own, so that
// all it started can be found and ended.
package cgroup

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// maxIdle is how many cgroups wait for the next commands.
const maxIdle = 8

// Pool makes cgroups where cgroup v2 is mounted. Early in a boot it is not yet,
// so that is looked up each time until it is. Making and removing one costs as
// much as a fork, so those that ended empty serve again.
type Pool struct {
	root   string
	within string // a cgroup of somebody else's, which ours are in; "": they have one of their own

	mu   sync.Mutex
	base string // where ours are, "" until made
	made int
	idle []*Group
	over bool // none is kept any more
}

// New makes a pool over root, where cgroup v2 is or will be mounted.
func New(root string) *Pool { return &Pool{root: root} }

// NewIn makes a pool of cgroups in one that is there.
func NewIn(dir string) *Pool { return &Pool{within: dir} }

// Group is one command's cgroup. One caller at a time uses it.
type Group struct {
	dir    string
	fd     *os.File // the directory
	events *os.File // its cgroup.events
	killed bool
}

// Take returns an empty cgroup, which is given back by Put or removed by
// Remove; nil where there can be none.
func (c *Pool) Take() *Group {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		g := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return g
	}
	c.mu.Unlock()
	return c.make()
}

func (c *Pool) make() *Group {
	base := c.ready()
	if base == "" {
		return nil
	}
	c.mu.Lock()
	c.made++
	dir := filepath.Join(base, "exec-"+strconv.Itoa(c.made))
	c.mu.Unlock()
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		c.forget()
		return nil
	}
	fd, err := openRaw(dir, syscall.O_DIRECTORY)
	if err != nil {
		return nil
	}
	events, err := openRaw(filepath.Join(dir, "cgroup.events"), 0)
	if err != nil {
		_ = fd.Close() // opened for reading only
		return nil
	}
	return &Group{dir: dir, fd: fd, events: events}
}

// openRaw opens for reading a file that is not to be polled.
func openRaw(path string, flags int) (*os.File, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Put takes a command's cgroup back: to serve again if nothing is left in it.
func (c *Pool) Put(g *Group) error {
	if !g.killed && g.childless() && g.empty() {
		c.mu.Lock()
		keep := len(c.idle) < maxIdle && !c.over
		if keep {
			c.idle = append(c.idle, g)
		}
		c.mu.Unlock()
		if keep {
			return nil
		}
	}
	return g.Remove()
}

// Close removes the cgroups that wait; those in use are removed by Put.
func (c *Pool) Close() error {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.over = nil, true
	c.mu.Unlock()
	var err error
	for _, g := range idle {
		err = errors.Join(err, g.Remove())
	}
	return err
}

// FD is the cgroup's directory, for clone3; it stays the cgroup's.
func (g *Group) FD() int { return int(g.fd.Fd()) }

// empty reports whether no process is in the cgroup or below it.
func (g *Group) empty() bool {
	var buf [256]byte
	n, err := g.events.ReadAt(buf[:], 0)
	return (err == nil || errors.Is(err, io.EOF)) && bytes.Contains(buf[:n], []byte("populated 0\n"))
}

// childless reports whether no cgroup was made in it.
func (g *Group) childless() bool {
	var st syscall.Stat_t
	return syscall.Fstat(int(g.fd.Fd()), &st) == nil && st.Nlink == 2
}

func (c *Pool) ready() string {
	if c.within != "" {
		return c.within
	}
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
func (c *Pool) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = ""
}

// Kill ends all processes in the cgroup; false where that cannot be done.
func (g *Group) Kill() bool {
	if g.empty() { // the usual case
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

// Remove removes the cgroup and those that the command has made in it; what
// was killed needs a moment to be gone.
func (g *Group) Remove() error {
	_, _ = g.fd.Close(), g.events.Close() // opened for reading only
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
