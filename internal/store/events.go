package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"time"

	"github.com/banger-vm/banger/internal/event"
)

// EventMark returns where the last event log stopped.
func (s *Store) EventMark(ctx context.Context) (mark event.Mark, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT reserved, gap, clean FROM event_mark").
		Scan(&mark.Reserved, &mark.Gap, &mark.Clean)
	return mark, plain(err)
}

// SaveEvents stores events and the mark at once, and drops old ones.
func (s *Store) SaveEvents(ctx context.Context, events []event.Kept, mark event.Mark, keep int) (event.Mark, error) {
	// A batch is stored again after an error that came too late to undo it.
	insert, err := s.write.prepared(ctx, "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return mark, plain(err)
	}
	// The newest one too many.
	tooOld, err := s.write.prepared(ctx, "SELECT (SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?)")
	if err != nil {
		return mark, plain(err)
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if err := insertEvents(ctx, tx.StmtContext(ctx, insert), events); err != nil {
			return err
		}
		var old sql.NullInt64
		if err := tx.StmtContext(ctx, tooOld).QueryRowContext(ctx, keep).Scan(&old); err != nil {
			return err
		}
		if old.Valid {
			if _, err := tx.ExecContext(ctx, "DELETE FROM events WHERE seq <= ?", old.Int64); err != nil {
				return err
			}
			mark.Gap = max(mark.Gap, uint64(old.Int64))
		}
		_, err := tx.ExecContext(ctx, "UPDATE event_mark SET reserved = ?, gap = ?, clean = ?",
			mark.Reserved, mark.Gap, mark.Clean)
		return err
	})
	return mark, err
}

func insertEvents(ctx context.Context, insert *sql.Stmt, events []event.Kept) error {
	for _, e := range events {
		data := sql.NullString{String: string(e.Data), Valid: e.Data != nil}
		if _, err := insert.ExecContext(ctx, e.Seq, e.Time.UnixNano(), e.Type, e.Target, e.Name, e.Message, data); err != nil {
			return err
		}
	}
	return nil
}

// EventsAfter returns kept events between two numbers, oldest first.
func (s *Store) EventsAfter(ctx context.Context, after, before uint64, target string, limit int) ([]event.Kept, error) {
	const columns = "SELECT seq, time, type, target, name, message, data FROM events WHERE seq > ? AND seq < ? "
	args := []any{min(after, math.MaxInt64), min(before, math.MaxInt64)}
	where := ""
	if target != "" {
		where, args = "AND target = ? ", append(args, target)
	}
	rows, err := s.read.QueryContext(ctx, columns+where+"ORDER BY seq LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, plain(err)
	}
	defer rows.Close()
	var events []event.Kept
	for rows.Next() {
		var e event.Kept
		var ns int64
		var data sql.NullString
		if err := rows.Scan(&e.Seq, &ns, &e.Type, &e.Target, &e.Name, &e.Message, &data); err != nil {
			return nil, plain(err)
		}
		e.Time = time.Unix(0, ns).UTC()
		if data.Valid {
			e.Data = json.RawMessage(data.String)
		}
		events = append(events, e)
	}
	return events, plain(rows.Err())
}
