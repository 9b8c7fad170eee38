package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/banger-vm/banger/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the file to the newest version this program knows. The
// version is PRAGMA user_version: how many of the migrations have run. An
// older file is copied next to itself first.
func migrate(ctx context.Context, db *sql.DB, path string, fresh bool) error {
	scripts, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	version, err := versionOf(ctx, db)
	if err != nil {
		return err
	}
	if version > len(scripts) {
		return fault.New(fault.Precondition,
			"Install the newer banger again, or use another --state-dir.",
			"banger's state in %s is of version %d, from a newer banger; this one knows versions up to %d",
			path, version, len(scripts))
	}
	if version == 0 && !fresh {
		return fmt.Errorf("%w: it has no version", errDamaged)
	}
	if version > 0 && version < len(scripts) {
		if err := backup(ctx, db, fmt.Sprintf("%s.v%d", path, version)); err != nil {
			return fmt.Errorf("the state could not be copied before its migration: %w", err)
		}
	}
	for i, script := range scripts[version:] {
		if err := apply(ctx, db, script, version+i+1); err != nil {
			return fmt.Errorf("the state could not be brought to version %d: %w", version+i+1, err)
		}
	}
	return nil
}

// Version is that of the file, and the newest one that this program knows.
func (s *Store) Version(ctx context.Context) (version, newest int, err error) {
	scripts, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, 0, err
	}
	version, err = versionOf(ctx, s.read.DB)
	return version, len(scripts), err
}

func versionOf(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

func apply(ctx context.Context, db *sql.DB, script string, version int) error {
	text, err := migrations.ReadFile(script)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, string(text)); err == nil {
		// A pragma takes no parameters; it is part of the transaction.
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
	}
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

func backup(ctx context.Context, db *sql.DB, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := db.ExecContext(ctx, "VACUUM INTO ?", to)
	return err
}
