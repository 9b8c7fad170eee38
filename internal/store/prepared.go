package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// pool is some connections whose statements are prepared once: to compile one
// costs more than to run it.
type pool struct {
	*sql.DB

	mu    sync.Mutex // guards the following; not held while SQLite works
	stmts map[string]*sql.Stmt
}

// newPool opens a pool of n connections, none of which is made yet.
func newPool(path string, n int, mode string) (*pool, error) {
	db, err := connect(path, n, mode)
	if err != nil {
		return nil, err
	}
	return &pool{DB: db, stmts: map[string]*sql.Stmt{}}, nil
}

// prepared is the statement of a query. Queries are few, and none is made of
// what somebody sends.
func (p *pool) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	stmt := p.stmts[query]
	p.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.stmts[query]; first != nil {
		return first, stmt.Close()
	}
	p.stmts[query] = stmt
	return stmt, nil
}

// QueryContext runs a query, prepared.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// ExecContext runs a change, prepared.
func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// Close ends the connections and their statements.
func (p *pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, stmt := range p.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, p.DB.Close())...)
}
