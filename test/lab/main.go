// Command lab makes a kernel and an initramfs with the given banger-guest for
// the tests that boot a VMM without a daemon, and prints them as environment.
//
// usage: lab DIR BANGER-GUEST
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/kernel"
	"github.com/banger-vm/banger/internal/kernel/debian"
	"github.com/banger-vm/banger/internal/places"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, guest string) error {
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		return err
	}
	host := hostexec.Host{}
	library := kernel.New(kernel.Config{Dir: dir}, debian.New(debian.Config{CacheDir: p.CacheDir}, host), host, slog.New(slog.DiscardHandler))
	k, err := library.Ensure(ctx, func(string, int64, int64) {})
	if err != nil {
		return err
	}
	initramfs, err := library.Initramfs(ctx, k, guest)
	if err != nil {
		return err
	}
	fmt.Printf("export BANGER_TEST_KERNEL=%q BANGER_TEST_INITRAMFS=%q\n", k.Vmlinux, initramfs)
	return nil
}
