// Package store keeps what banger must remember in one SQLite file: VMs,
// images, kernels, the journal of operations and the last events. It implements the
// stores that its consumers declare; nothing here decides anything.
//
// One connection writes and a few read (WAL), so a reader never waits.
// synchronous is NORMAL: a commit is in the kernel's page cache when it
// returns, so it survives any death of this process, kill -9 included, and
// costs no disk flush. A power cut can lose the last commits (never tear one):
// the VMs they speak of died at the same instant, and files that no record
// knows are found by the check for leftovers.
package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/kernel/registry"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vm"
)

// Store is an open state file.
type Store struct {
	write *pool // of one connection
	read  *pool

	vms     *named[vm.Record]
	images  *named[image.Image]
	kernels *named[registry.Record]
	// keepEnded is how many operations that have ended are kept.
	keepEnded int
}

var (
	_ operation.Journal = (*Store)(nil)
	_ event.Keeper      = (*Store)(nil)
	_ vm.Store          = (*Store)(nil)
	_ image.Store       = (*Store)(nil)
	_ registry.Store    = (*Store)(nil)
)

// Open opens the state file at path, made or migrated where needed. The caller
// makes sure that no other process has it open.
func Open(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(ctx, path); err != nil {
			return nil, explain(path, err)
		}
	}
	s, err := open(ctx, path)
	if err != nil {
		return nil, explain(path, err)
	}
	return s, nil
}

// create makes a new file whole before it gets its name, so that an empty or
// half one is known to be damage.
func create(ctx context.Context, path string) error {
	tmp := path + ".new"
	for _, old := range []string{tmp, tmp + "-wal", tmp + "-shm", path + "-wal", path + "-shm"} {
		// SQLite would play a log that is left over from a lost file into the new one.
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := connect(tmp, 1, readWrite)
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(ctx, db, tmp, true), db.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func open(ctx context.Context, path string) (s *Store, err error) {
	if err := checkSize(path); err != nil {
		return nil, err
	}
	s = unopened()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	if s.write, err = newPool(path, 1, readWrite); err != nil {
		return s, err
	}
	if s.read, err = newPool(path, max(2, runtime.NumCPU()), readWrite); err != nil {
		return s, err
	}
	if err := check(ctx, s.write.DB); err != nil {
		return s, err
	}
	return s, migrate(ctx, s.write.DB, path, false)
}

// OpenReadOnly opens the state file at path as it is, to look at it: another
// process may have it open. Nothing is migrated or changed (an empty log may be
// made beside it); what changes a Store must not be called. fs.ErrNotExist where
// there is no file.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Lstat(path); err != nil {
		return nil, err
	}
	s, err := openReadOnly(ctx, path)
	if err != nil {
		return nil, explain(path, err)
	}
	return s, nil
}

func openReadOnly(ctx context.Context, path string) (s *Store, err error) {
	if err := checkSize(path); err != nil {
		return nil, err
	}
	s = unopened()
	if s.read, err = newPool(path, 2, readOnly); err != nil {
		return nil, err
	}
	if err = check(ctx, s.read.DB); err == nil {
		_, _, err = s.Version(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// unopened is one that is not open.
func unopened() *Store {
	return &Store{
		vms:     &named[vm.Record]{table: "vms", what: "VM", clone: cloneVM},
		images:  &named[image.Image]{table: "images", what: "image", clone: func(i image.Image) image.Image { return i }},
		kernels: &named[registry.Record]{table: "kernels", what: "kernel", clone: cloneKernel},

		keepEnded: 1000,
	}
}

// checkSize refuses what SQLite would take for an empty file and write over:
// one that is shorter than its own header says.
func checkSize(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, 100)
	if _, err := io.ReadFull(f, header); err != nil {
		return fmt.Errorf("%w: it has no header", errDamaged)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pageSize := int64(binary.BigEndian.Uint16(header[16:]))
	if pageSize == 1 { // how the format writes 65536
		pageSize = 1 << 16
	}
	pages := int64(binary.BigEndian.Uint32(header[28:]))
	switch wal, err := os.Stat(path + "-wal"); {
	case err == nil && wal.Size() > 0:
		return nil // the rest may be in the log
	case info.Size() < pages*pageSize:
		return fmt.Errorf("%w: %d of its %d bytes are there", errDamaged, info.Size(), pages*pageSize)
	}
	return nil
}

// How SQLite opens the file. One that only reads leaves the log beside it as it
// is; another that closes last would fold it in.
const (
	readWrite = "rw"
	readOnly  = "ro"
)

// connect opens a pool of n connections, none of which is made yet.
func connect(path string, n int, mode string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	q := url.Values{"_txlock": {"immediate"}, "mode": {mode}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)",
	}}
	if n > 1 {
		q.Add("_pragma", "query_only(ON)")
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: abs}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// check reads all of the file once, without the indexes' order: a damaged one
// must be found before anything is decided from it.
func check(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, strings.TrimSpace(verdict))
	}
	return nil
}

// Close ends all reading and writing.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*pool{s.read, s.write} { // the writer last: it folds the log into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// tx runs f in a transaction of the writer.
func (s *Store) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return plain(err)
	}
	if err := f(tx); err != nil {
		return errors.Join(plain(err), rollback(tx))
	}
	return plain(tx.Commit())
}

func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
