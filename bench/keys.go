package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/creack/pty"
)

// keysInLine are those of a turn, so that no line of the terminal is full.
const keysInLine = atATime

// keystrokes measures keys one at a time in a shell, on a real terminal, until
// each is seen there, against the same bytes through the floor's guest and back.
func keystrokes(ctx context.Context, b *bench) (err error) {
	line, err := b.floor.boot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.end()) }()
	t, err := openTerminal(b.rig.command(ctx, "shell", b.vm))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := line.ping([]byte("x")); err != nil { // it has booted
		return err
	}
	var echo, keys samples
	for range b.rounds(600) / keysInLine {
		err := inTurns(
			keysInLine,
			turn{&echo, func() error { return line.ping([]byte("x")) }},
			turn{&keys, func() error { return t.key('x') }},
		)
		if err == nil {
			err = t.clear()
		}
		if err != nil {
			return err
		}
	}
	late := func(s samples) samples { return samples{s.quantile(0.99)} }
	b.add(
		row{"a key in a shell, until it is on the terminal; the floor is a byte to its guest and back", "banger shell dev", "ms", echo, keys, 0},
		row{"the same, p99", "banger shell dev", "ms", late(echo), late(keys), 0},
		row{"the same, how much later the p99 is", "banger shell dev", "ms", nil, samples{late(keys)[0] - late(echo)[0]}, 5},
	)
	return nil
}

// terminal is one that a shell runs on.
type terminal struct {
	*os.File
	cmd *exec.Cmd
}

// openTerminal starts a shell and waits until it is there.
func openTerminal(cmd *exec.Cmd) (*terminal, error) {
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return nil, err
	}
	t := &terminal{f, cmd}
	if err := t.until([]byte("$ ")); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the shell's prompt: %w", err), t.close())
	}
	return t, nil
}

// until reads until what is read ends with something.
func (t *terminal) until(end []byte) error {
	if err := t.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	var seen []byte
	buf := make([]byte, 4096)
	for !bytes.HasSuffix(seen, end) {
		n, err := t.Read(buf)
		if err != nil {
			return fmt.Errorf("%w, after %q", err, seen)
		}
		seen = append(seen, buf[:n]...)
	}
	return nil
}

// key presses a key and waits until it is seen.
func (t *terminal) key(k byte) error {
	if _, err := t.Write([]byte{k}); err != nil {
		return err
	}
	return t.until([]byte{k})
}

// clear empties the line: Enter behind Ctrl-U.
func (t *terminal) clear() error {
	if _, err := t.Write([]byte("\x15\r")); err != nil {
		return err
	}
	return t.until([]byte("$ "))
}

// close ends the shell.
func (t *terminal) close() error {
	_, err := t.Write([]byte("\x15exit\r"))
	if err == nil {
		_, _ = io.Copy(io.Discard, t) // its end is an error on a terminal
	}
	_ = t.cmd.Process.Kill() // unless it has ended, as it should
	_ = t.cmd.Wait()
	return errors.Join(err, t.File.Close())
}
