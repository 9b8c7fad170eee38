package archive

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
)

// How much of the disk is left free: the smaller of a part and an amount.
const (
	reservePart  = 20 // a twentieth
	reserveBytes = 1 << 30
	reserveFiles = 10_000

	lookBytes = 32 << 20 // between two looks at the disk
	lookFiles = 1000
)

// room watches how much may be written.
type room struct {
	rules Rules
	name  string
	dir   *os.File // on the disk

	written      int64
	bytes, files int64 // since the last look
}

func newRoom(root *os.Root, rules Rules) (*room, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	r := &room{rules: rules, name: root.Name(), dir: dir}
	if err := r.look(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return r, nil
}

func (r *room) close() error { return r.dir.Close() }

// take asks to write so many bytes.
func (r *room) take(n int64) error {
	if r.written += n; r.rules.MaxBytes > 0 && r.written > r.rules.MaxBytes {
		return refuse(api.KindFailedPrecondition, "Allow more with --max-size.", "there is more to copy than the %d bytes that are allowed", r.rules.MaxBytes)
	}
	if r.bytes += n; r.bytes < lookBytes {
		return nil
	}
	return r.look()
}

// file asks to make a file.
func (r *room) file() error {
	if r.files++; r.files < lookFiles {
		return nil
	}
	return r.look()
}

// look refuses to go on where the disk is nearly full.
func (r *room) look() error {
	r.bytes, r.files = 0, 0
	if !r.rules.Reserve {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(r.dir.Fd()), &st); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	return r.judge(st)
}

// judge refuses a disk in this state.
func (r *room) judge(st unix.Statfs_t) error {
	size := uint64(st.Bsize)
	left := min(st.Blocks*size/reservePart, reserveBytes)
	if st.Bavail*size < left+lookBytes {
		return refuse(api.KindFailedPrecondition, "Free some space there first.", "the disk of %s is nearly full: %d MB are left", r.name, st.Bavail*size>>20)
	}
	if st.Files > 0 && st.Ffree < min(st.Files/reservePart, reserveFiles) {
		return refuse(api.KindFailedPrecondition, "Remove some there first.", "the disk of %s can hold hardly any more files", r.name)
	}
	return nil
}
