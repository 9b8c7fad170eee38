package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/banger-vm/banger/internal/fault"
)

// named is a table of things with an ID and a unique name.
type named[T any] struct {
	table string
	what  string // for people: "VM", "image"
	clone func(T) T

	mu      sync.Mutex         // leaf
	decoded map[string]text[T] // of the last list, by ID; replaced, never changed
}

// text is a record with the text that it was decoded from.
type text[T any] struct {
	text   string
	record T
}

func (n *named[T]) insert(ctx context.Context, s *Store, id, name string, record T) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("the %s %s cannot be encoded: %w", n.what, name, err)
	}
	_, err = s.write.ExecContext(ctx, "INSERT INTO "+n.table+" (id, name, record) VALUES (?, ?, ?)", id, name, string(text))
	if taken(err) {
		return n.taken(name)
	}
	return plain(err)
}

// put inserts a row, or takes the place of the one with its ID.
func (n *named[T]) put(ctx context.Context, s *Store, id, name string, record T) error {
	err := n.change(ctx, s, id, func(r *T) (string, bool) { *r = record; return name, true })
	if fault.KindOf(err) == fault.NotFound {
		return n.insert(ctx, s, id, name, record)
	}
	return err
}

// change changes a row. Where somebody else has changed it in between, change
// is asked again, with that; where it returns false, nothing is stored.
func (n *named[T]) change(ctx context.Context, s *Store, id string, change func(*T) (name string, ok bool)) error {
	for {
		was, record, err := n.row(ctx, s, id)
		if err != nil {
			return err
		}
		name, ok := change(&record)
		if !ok {
			return nil
		}
		if done, err := n.update(ctx, s, id, was, name, record); done || err != nil {
			return err
		}
	}
}

// row is a record with the text that it is stored as.
func (n *named[T]) row(ctx context.Context, s *Store, id string) (text string, record T, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT record FROM "+n.table+" WHERE id = ?", id)
	if err != nil {
		return "", record, plain(err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return "", record, plain(err)
		}
		return "", record, n.missing(id)
	}
	if err := rows.Scan(&text); err != nil {
		return "", record, plain(err)
	}
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		return "", record, fmt.Errorf("the stored %s %s cannot be decoded: %w", n.what, id, err)
	}
	return text, record, nil
}

// update stores a record unless the row is no longer as it was.
func (n *named[T]) update(ctx context.Context, s *Store, id, was, name string, record T) (done bool, err error) {
	text, err := json.Marshal(record)
	if err != nil {
		return false, fmt.Errorf("the %s %s cannot be encoded: %w", n.what, name, err)
	}
	res, err := s.write.ExecContext(ctx, "UPDATE "+n.table+" SET name = ?, record = ? WHERE id = ? AND record = ?", name, string(text), id, was)
	if taken(err) {
		return false, n.taken(name)
	}
	if err != nil {
		return false, plain(err)
	}
	rows, err := res.RowsAffected()
	return rows > 0, err
}

func (n *named[T]) delete(ctx context.Context, s *Store, id string) error {
	_, err := s.write.ExecContext(ctx, "DELETE FROM "+n.table+" WHERE id = ?", id)
	return plain(err)
}

// byID finds a row by its whole ID and by nothing else: what the program itself
// has noted down must not lead to another thing of that name.
func (n *named[T]) byID(ctx context.Context, s *Store, id string) (record T, err error) {
	found, err := scan[T](s.read.QueryContext(ctx, "SELECT record FROM "+n.table+" WHERE id = ?", id))
	if err == nil && len(found) == 0 {
		err = n.missing(id)
	}
	return first(found), err
}

// get finds a row by its name, its ID or a unique prefix of that; a name wins.
func (n *named[T]) get(ctx context.Context, s *Store, ref string) (record T, err error) {
	found, err := scan[T](s.read.QueryContext(ctx,
		"SELECT record FROM "+n.table+" WHERE name = ?1 OR id = ?1 ORDER BY name = ?1 DESC LIMIT 1", ref))
	if err != nil || len(found) == 1 {
		return first(found), err
	}
	if ref == "" || !hex(ref) {
		return record, n.missing(ref)
	}
	found, err = scan[T](s.read.QueryContext(ctx,
		"SELECT record FROM "+n.table+" WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", ref))
	switch {
	case err != nil:
		return record, err
	case len(found) == 0:
		return record, n.missing(ref)
	case len(found) > 1:
		return record, fault.New(fault.Invalid, "Use more of its ID, or its name.",
			"the IDs of several %ss begin with %q", n.what, ref)
	}
	return found[0], nil
}

// all returns copies of all records. Decoding is most of the work, so only
// what has changed since the last list is decoded.
func (n *named[T]) all(ctx context.Context, s *Store) ([]T, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, record FROM "+n.table+" ORDER BY name")
	if err != nil {
		return nil, plain(err)
	}
	defer rows.Close()
	n.mu.Lock()
	old := n.decoded
	n.mu.Unlock()
	decoded := make(map[string]text[T], len(old))
	all := make([]T, 0, len(old))
	for rows.Next() {
		var id, raw sql.RawBytes
		if err := rows.Scan(&id, &raw); err != nil {
			return nil, plain(err)
		}
		t, ok := old[string(id)]
		if !ok || t.text != string(raw) {
			t = text[T]{text: string(raw)}
			if err := json.Unmarshal(raw, &t.record); err != nil {
				return nil, fmt.Errorf("the stored %s %s cannot be decoded: %w", n.what, id, err)
			}
		}
		decoded[string(id)] = t
		all = append(all, n.clone(t.record))
	}
	n.mu.Lock()
	n.decoded = decoded
	n.mu.Unlock()
	return all, plain(rows.Err())
}

func (n *named[T]) taken(name string) error {
	return fault.New(fault.Exists, "Choose another name, or remove that one first.",
		"there is already %s %s named %q", article(n.what), n.what, name)
}

func (n *named[T]) missing(ref string) error {
	hint := map[string]string{"VM": "See which there are with: banger ls", "image": "See which there are with: banger image ls", "kernel": "See which there are with: banger kernel ls"}[n.what]
	return fault.New(fault.NotFound, hint, "there is no %s %q", n.what, ref)
}

// scan decodes the records of a query whose only column they are.
func scan[T any](rows *sql.Rows, err error) (records []T, _ error) {
	if err != nil {
		return nil, plain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text sql.RawBytes
		var record T
		if err := rows.Scan(&text); err != nil {
			return nil, plain(err)
		}
		if err := json.Unmarshal(text, &record); err != nil {
			return nil, fmt.Errorf("a stored record cannot be decoded: %w", err)
		}
		records = append(records, record)
	}
	return records, plain(rows.Err())
}

func first[T any](records []T) (record T) {
	if len(records) > 0 {
		record = records[0]
	}
	return record
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an"
	}
	return "a"
}

// hex reports whether s can be the beginning of an ID.
func hex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}
