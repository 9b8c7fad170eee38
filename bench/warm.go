package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
)

// warm measures commands in a running VM: the client against the floor's line
// protocol, and the command line against the client.
func warm(ctx context.Context, b *bench) (err error) {
	vm, err := b.floor.boot(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.end()) }()
	var floor, through samples
	const command = "/bin/true"
	err = inTurns(b.rounds(150),
		turn{&floor, func() error { return second(vm.run(command)) }},
		turn{&through, func() error { return second(b.rig.exec(ctx, b.vm, command)) }},
	)
	if err != nil {
		return err
	}
	var again, process samples
	err = inTurns(b.rounds(50),
		turn{&again, func() error { return second(b.rig.exec(ctx, b.vm, "true")) }},
		turn{&process, func() error { return second(b.rig.run(ctx, "exec", b.vm, "--", "true")) }},
	)
	if err != nil {
		return err
	}
	b.add(
		row{"exec in a running VM, client", command, "ms", floor, through, b.limits.exec},
		row{"exec as a whole process, against the client", "banger exec dev -- true", "ms", again, process, 1.5},
	)
	return nil
}

// throughput moves 100 MB through an exec, each way.
func throughput(ctx context.Context, b *bench) error {
	const size = 100e6
	var down, up samples
	for range b.rounds(5) {
		argv := []string{"head", "-c", fmt.Sprint(int64(size)), "/dev/zero"}
		var n counter
		took, err := b.move(ctx, argv, client.ExecConfig{Stdout: &n})
		if err != nil {
			return err
		}
		if n != size {
			return fmt.Errorf("%d bytes came instead of %d", n, int64(size))
		}
		down = append(down, size/1e6/took.Seconds())
		took, err = b.move(ctx, []string{"sh", "-c", "cat >/dev/null"}, client.ExecConfig{Stdin: io.LimitReader(zeros{}, size)})
		if err != nil {
			return err
		}
		up = append(up, size/1e6/took.Seconds())
	}
	b.add(
		row{"100 MB out of a guest", "head -c 100000000 /dev/zero", "MB/s", nil, down, 0},
		row{"100 MB into a guest", "cat >/dev/null", "MB/s", nil, up, 0},
	)
	return nil
}

func (b *bench) move(ctx context.Context, argv []string, cfg client.ExecConfig) (time.Duration, error) {
	start := time.Now()
	e, err := b.rig.client.Exec(ctx, b.vm, api.ExecSpec{Argv: argv}, cfg)
	if err != nil {
		return 0, err
	}
	err = ended(e, argv)
	return time.Since(start), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
