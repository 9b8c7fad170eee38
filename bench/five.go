package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// five measures the first exec on each of five VMs after a daemon's start, which
// has to find them, against the same with a daemon that has long known them.
func five(ctx context.Context, b *bench) (err error) {
	r := b.rig
	names := make([]string, 5)
	for i := range names {
		names[i] = fmt.Sprintf("five-%d", i)
		defer func() { err = errors.Join(err, b.forget(ctx, names[i])) }()
		if _, err := r.run(ctx, append([]string{"run", "-d", "-q", "-n", names[i]}, append(b.kind.flags(), "debian", "--", "true")...)...); err != nil {
			return err
		}
		if _, err := r.settle(ctx, names[i]); err != nil {
			return err
		}
	}
	var warm, first samples
	for range b.rounds(8) {
		if err := r.execAll(ctx, names, &warm); err != nil {
			return err
		}
		if _, err := r.run(ctx, "daemon", "stop"); err != nil {
			return err
		}
		if _, err := r.run(ctx, "ls", "-q"); err != nil { // starts one
			return err
		}
		_ = r.client.Close() // it spoke to the other one, which has closed it
		r.client = client.New(client.Config{Socket: r.places.Socket})
		if err := r.execAll(ctx, names, &first); err != nil {
			return err
		}
	}
	b.add(row{"the first exec on each of five VMs after a daemon's start, at once; the floor is the same again", "/bin/true", "ms", warm, first, 1.5})
	return nil
}

// execAll runs a command in all of them at once, each over a connection of its
// own, and notes how long all took together.
func (r *rig) execAll(ctx context.Context, names []string, into *samples) error {
	errs := make([]error, len(names))
	start := time.Now()
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			c := client.New(client.Config{Socket: r.places.Socket})
			e, err := c.Exec(ctx, name, api.ExecSpec{Argv: []string{"/bin/true"}}, client.ExecConfig{Stdout: io.Discard})
			if err == nil {
				err = ended(e, []string{"/bin/true"})
			}
			errs[i] = errors.Join(err, c.Close())
		})
	}
	all.Wait()
	into.add(time.Since(start))
	return errors.Join(errs...)
}
