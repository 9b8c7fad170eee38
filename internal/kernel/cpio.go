package kernel

import (
	"fmt"
	"io"
)

// Modes of cpio entries.
const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
	cpioChar = 0o020000
)

// archive writes a newc cpio, the form the kernel unpacks as initramfs. All
// that would differ between two runs (times, inode numbers) is fixed.
type archive struct {
	w   io.Writer
	off int64
	ino int
	err error
}

// entry writes a header; the caller writes size bytes and calls pad.
func (a *archive) entry(name string, mode, major, minor uint32, size int64) {
	a.ino++
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	h := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(name)+1, 0)
	a.write([]byte(h + name + "\x00"))
	a.pad()
}

func (a *archive) dir(name string) { a.entry(name, cpioDir|0o755, 0, 0, 0) }

func (a *archive) char(name string, perm, major, minor uint32) {
	a.entry(name, cpioChar|perm, major, minor, 0)
}

func (a *archive) file(name string, perm uint32, body []byte) {
	if int64(len(body)) > 0xffffffff {
		a.fail(fmt.Errorf("%s is too large for an initramfs", name))
		return
	}
	a.entry(name, cpioFile|perm, 0, 0, int64(len(body)))
	a.write(body)
	a.pad()
}

func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, 0, 0, 0)
	return a.err
}

func (a *archive) pad() {
	if n := a.off % 4; n != 0 {
		a.write(make([]byte, 4-n))
	}
}

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.off += int64(n)
	a.fail(err)
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}
