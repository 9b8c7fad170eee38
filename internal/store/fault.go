package store

import (
	"errors"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/banger-vm/banger/internal/fault"
)

var errDamaged = errors.New("the file is damaged")

// Damaged reports whether an error says that the state file itself is no good.
func Damaged(err error) bool {
	code := codeOf(err)
	return errors.Is(err, errDamaged) || code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// explain turns an error of opening the state file into a fault.
func explain(path string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	switch code := codeOf(err); {
	case Damaged(err):
		return fault.New(fault.Precondition,
			"Put back a copy of it, or move it away and start with an empty state; VMs' disks are not touched.",
			"banger's state in %s is damaged: %w", path, err)
	case code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM,
		errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.New(fault.Precondition,
			"Make the directory and the file writable for the user that bangerd runs as, or use another --state-dir.",
			"banger's state in %s cannot be written: %w", path, err)
	}
	err = plain(err)
	if errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Unavailable, "", "banger's state in %s cannot be opened: %w", path, err)
}

// plain turns an error of a query into one for people.
func plain(err error) error {
	switch codeOf(err) {
	case sqlite3.SQLITE_FULL:
		return fault.New(fault.Unavailable, "Free some space in the state directory, then try again.",
			"banger's state cannot be stored, no space is left: %w", err)
	case sqlite3.SQLITE_IOERR:
		return fault.New(fault.Unavailable, "Look at the disk (space, dmesg), then try again.",
			"banger's state cannot be read or stored: %w", err)
	case sqlite3.SQLITE_READONLY:
		return fault.New(fault.Unavailable, "Make the state directory writable again.",
			"banger's state cannot be stored, it is read-only: %w", err)
	}
	return err
}

// codeOf is SQLite's primary result code of an error, 0 for any other error.
func codeOf(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// taken reports whether err says that a unique value is there already.
func taken(err error) bool {
	return codeOf(err) == sqlite3.SQLITE_CONSTRAINT
}
