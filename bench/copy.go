package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/banger-vm/banger/client"
)

// copies moves a file into a guest and out of it, against the same bytes
// through an exec, which is a bare pipe on the same channel.
func copies(ctx context.Context, b *bench) error {
	const size = 20_000_000
	src, dest := filepath.Join(b.dir, "copied"), filepath.Join(b.dir, "came")
	f, err := os.Create(src)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	var pipeIn, copyIn, pipeOut, copyOut samples
	err = inTurns(b.rounds(10),
		turn{&pipeIn, func() error { return b.pipeIn(ctx, src, "cat >piped") }},
		turn{&copyIn, func() error { return b.copyFile(ctx, (*client.Files).Put, src, "copied") }},
	)
	if err != nil {
		return err
	}
	err = inTurns(b.rounds(10),
		turn{&pipeOut, func() error { return b.pipeOut(ctx, "cat copied", dest) }},
		turn{&copyOut, func() error { return b.copyFile(ctx, (*client.Files).Get, "copied", dest) }},
	)
	if err != nil {
		return err
	}
	// At least 0.8 of the pipe's throughput.
	b.add(
		row{"a file of 20 MB into a guest, against an exec's stdin", "banger cp copied dev:", "ms", pipeIn, copyIn, 1.25},
		row{"a file of 20 MB out of a guest, against an exec's stdout", "banger cp dev:copied .", "ms", pipeOut, copyOut, 1.25},
	)
	return nil
}

// copyFile copies one file, either way.
func (b *bench) copyFile(ctx context.Context, way func(*client.Files, context.Context, []string, string, client.CopyConfig) (client.CopyStats, error), from, to string) error {
	files, err := b.rig.client.Files(ctx, b.vm)
	if err == nil {
		_, err = way(files, ctx, []string{from}, to, client.CopyConfig{})
	}
	return err
}

func (b *bench) pipeIn(ctx context.Context, src, command string) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = b.move(ctx, []string{"sh", "-c", command}, client.ExecConfig{Stdin: f})
	return err
}

func (b *bench) pipeOut(ctx context.Context, command, dest string) error {
	f, err := os.Create(dest)
	if err != nil {
		return err
	}
	_, err = b.move(ctx, []string{"sh", "-c", command}, client.ExecConfig{Stdout: f})
	return errors.Join(err, f.Close())
}
