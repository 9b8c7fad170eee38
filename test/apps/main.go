// Command apps makes the image of the tests with real programs: the Debian
// image, and in it what its guests would install for minutes, each time anew. It
// prints the directory; with a warm cache that is all it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/image/bootstrap"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/test/host/cachedir"
)

// variant is what the image has beyond the default one's content.
var variant = bootstrap.Variant{
	Packages: []string{
		"podman", "uidmap", "slirp4netns", "crun", // as podman recommends
		"rsync", "python3", // the far ends of rsync and Ansible
		"neovim", "busybox-static",
	},
	Hooks: []string{
		// Guests that have no way to the Internet install these from here.
		`d="$1"/srv/debs; mkdir -p "$d/partial" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -q -y --no-install-recommends --download-only -o Dir::Cache::Archives="$d" install docker.io apparmor && rm -r "$d/partial"`,
		// Of the system's podman nothing is tested, and its units take long to start.
		`chroot "$1" systemctl disable podman.socket podman.service podman-restart.service podman-auto-update.timer podman-auto-update.service`,
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	dir, err := ensure(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apps:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}

// ensure returns the image's directory in the cache, making what is missing.
func ensure(ctx context.Context) (_ string, err error) {
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		return "", err
	}
	cache := filepath.Join(p.CacheDir, "test-apps")
	release, err := cachedir.Lock(ctx, cache+".lock")
	if err != nil {
		return "", err
	}
	defer release()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	maker := bootstrap.New(bootstrap.Config{CacheDir: cache, UID: os.Geteuid(), Variant: variant}, hostexec.Host{}, log)
	recipe, err := maker.Recipe(ctx)
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, recipe)
	if there, err := maker.Cached(ctx); err != nil || there {
		return final, err
	}
	fmt.Fprintln(os.Stderr, "making the image with programs; this takes a minute or two, once")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(p.CacheDir, "apps-")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(scratch, "image")
	defer func() { err = errors.Join(err, maker.Discard(context.WithoutCancel(ctx), dir), os.RemoveAll(scratch)) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if _, err := maker.Make(ctx, dir, func(operation.Progress) {}); err != nil {
		return "", err
	}
	there, err := maker.Cached(ctx)
	if err == nil && !there {
		err = errors.New("the image could not be put into the cache")
	}
	return final, err
}
