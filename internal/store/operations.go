package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

// InsertOperation stores a new operation, unless one of its kind has its key:
// then it returns that one.
func (s *Store) InsertOperation(ctx context.Context, r operation.Record) (existing *operation.Record, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("the operation cannot be encoded: %w", err)
	}
	res, err := s.write.ExecContext(ctx, `INSERT INTO operations (id, kind, key, ended, record)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, key) WHERE key <> '' DO NOTHING`,
		r.ID, r.Kind, r.Key, ended(r), string(text))
	if err != nil {
		return nil, plain(err)
	}
	if rows, err := res.RowsAffected(); err != nil || rows > 0 {
		return nil, err
	}
	return s.OperationByKey(ctx, r.Kind, r.Key)
}

// UpdateOperation stores the new state of an operation. With the end of one it
// forgets those that ended long ago.
func (s *Store) UpdateOperation(ctx context.Context, r operation.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("the operation %s cannot be encoded: %w", r.ID, err)
	}
	// After a clock that was set back the last one to end is still the newest.
	res, err := s.write.ExecContext(ctx, `UPDATE operations SET record = ?2,
		ended = CASE ?1 WHEN 0 THEN 0 ELSE max(?1, 1 + (SELECT max(ended) FROM operations)) END WHERE id = ?3`,
		ended(r), string(text), r.ID)
	if err != nil {
		return plain(err)
	}
	if rows, err := res.RowsAffected(); err != nil {
		return err
	} else if rows == 0 {
		return missingOperation(r.ID)
	}
	if !r.State.Final() {
		return nil
	}
	_, err = s.write.ExecContext(ctx, `DELETE FROM operations WHERE ended > 0 AND ended <=
		(SELECT ended FROM operations WHERE ended > 0 ORDER BY ended DESC LIMIT 1 OFFSET ?)`, s.keepEnded)
	return plain(err)
}

// Operation finds an operation by its ID or a unique prefix of that.
func (s *Store) Operation(ctx context.Context, idOrPrefix string) (operation.Record, error) {
	if idOrPrefix == "" || !hex(idOrPrefix) {
		return operation.Record{}, missingOperation(idOrPrefix)
	}
	found, err := scan[operation.Record](s.read.QueryContext(ctx,
		"SELECT record FROM operations WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2", idOrPrefix))
	switch {
	case err != nil:
		return operation.Record{}, err
	case len(found) == 0:
		return operation.Record{}, missingOperation(idOrPrefix)
	case len(found) > 1 && found[0].ID != idOrPrefix:
		return operation.Record{}, fault.New(fault.Invalid, "Use more of its ID.",
			"the IDs of several operations begin with %q", idOrPrefix)
	}
	return found[0], nil
}

// OperationByKey finds an operation by its idempotency key; nil if there is none.
func (s *Store) OperationByKey(ctx context.Context, kind, key string) (*operation.Record, error) {
	if key == "" {
		return nil, nil
	}
	found, err := scan[operation.Record](s.read.QueryContext(ctx,
		"SELECT record FROM operations WHERE kind = ? AND key = ? AND key <> ''", kind, key))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// Operations returns those that have not ended, or all that are kept, newest first.
func (s *Store) Operations(ctx context.Context, all bool) ([]operation.Record, error) {
	where := "WHERE ended = 0 "
	if all {
		where = ""
	}
	return scan[operation.Record](s.read.QueryContext(ctx, "SELECT record FROM operations "+where+"ORDER BY num DESC"))
}

// ended is when an operation ended, 0 while it runs.
func ended(r operation.Record) int64 {
	if !r.State.Final() {
		return 0
	}
	return max(1, r.EndedAt.UnixNano())
}

func missingOperation(id string) error {
	return fault.New(fault.NotFound, "See banger op ls -a.", "there is no operation %q", id)
}
