// Command lab makes a kernel and an initramfs with the given banger-guest for
// the tests that boot a VMM without a daemon, and a seed of image and kernel for
// those whose every daemon would make them anew, and prints them as environment.
//
// usage: lab DIR BANGER-GUEST
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

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
	image, err := newest(filepath.Join(p.CacheDir, "images", "*", "entry.json"))
	if err != nil || image == "" { // there is no image yet: each daemon makes its own
		return err
	}
	seed := filepath.Join(filepath.Dir(dir), "seed")
	if err := sow(ctx, seed, filepath.Dir(image), k, initramfs); err != nil {
		return fmt.Errorf("making the seed: %w", err)
	}
	fmt.Printf("export BANGER_TEST_SEED=%q\n", seed)
	return nil
}

// newest is the youngest of the files that match a pattern; "" if there is none.
func newest(pattern string) (path string, _ error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	var youngest time.Time
	for _, f := range found {
		info, err := os.Stat(f)
		if err != nil {
			return "", err
		}
		if info.ModTime().After(youngest) {
			path, youngest = f, info.ModTime()
		}
	}
	return path, nil
}

// sow makes a seed as package seedstate has it: links where they can be made.
func sow(ctx context.Context, seed, image string, k kernel.Kernel, initramfs string) error {
	if err := os.RemoveAll(seed); err != nil {
		return err
	}
	at := filepath.Join(seed, "kernels", k.ID)
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	copies := map[string]string{image: filepath.Join(seed, "image")}
	from := filepath.Dir(k.Vmlinux)
	for _, name := range []string{"vmlinux", "modules.ext4", "modules", "kernel.json", filepath.Base(initramfs)} {
		copies[filepath.Join(from, name)] = filepath.Join(at, name)
	}
	for from, to := range copies {
		if exec.CommandContext(ctx, "cp", "-al", from, to).Run() == nil {
			continue
		}
		if err := os.RemoveAll(to); err != nil { // of what was linked before it failed
			return err
		}
		if out, err := exec.CommandContext(ctx, "cp", "-r", "--sparse=always", from, to).CombinedOutput(); err != nil {
			return fmt.Errorf("cp: %w: %s", err, out)
		}
	}
	return os.Symlink(k.ID, filepath.Join(seed, "kernels", "default"))
}
