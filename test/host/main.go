// Command host runs banger's tests, or any command, in a real host: a full
// Debian in QEMU, with its own /dev/kvm, systemd, device-mapper and nftables.
//
//	go run ./test/host [run] [-run REGEXP]      the tests of the table in suite.go
//	go run ./test/host exec [-u USER] -- CMD…   a command; its exit code is ours
//	go run ./test/host shell [-u USER]          a shell
//	go run ./test/host prepare                  makes and saves the host, nothing else
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// exitError is the exit code of a command in the host.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

var commands = map[string]func(ctx context.Context, args []string) error{
	"run":     runSuite,
	"exec":    execute,
	"shell":   shell,
	"prepare": prepare,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	name, args := "run", os.Args[1:]
	if len(args) > 0 && commands[args[0]] != nil {
		name, args = args[0], args[1:]
	}
	err := commands[name](ctx, args)
	stop()
	var exit exitError
	if errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "test host:", err)
		os.Exit(125)
	}
}
