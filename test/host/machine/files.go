package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/test/host/call"
)

// CacheDir is banger's cache in the host: that of the payload, below a layer
// that everyone may write to.
const CacheDir = "/var/cache/banger-test"

// setUp is run as root in each host before its first command; its arguments
// are directories to make.
const setUp = `set -e
layer=/var/lib/test-host
mkdir -p $layer/upper $layer/work ` + CacheDir + ` "$@"
chmod 1777 $layer/upper ` + CacheDir + ` "$@"
if [ -d ` + call.Payload + `/cache ]; then
  mount -t overlay overlay -o lowerdir=` + call.Payload + `/cache,upperdir=$layer/upper,workdir=$layer/work ` + CacheDir + `
fi
if [ -d ` + call.Payload + `/apt ]; then
  mount --bind ` + call.Payload + `/apt /var/lib/apt/lists
fi
`

// short bounds what takes a moment.
const short = time.Minute

// SetUp makes the payload's cache usable, and directories that every user may
// write to.
func (m *Machine) SetUp(ctx context.Context, dirs ...string) error {
	return m.must(ctx, call.Run{Argv: append([]string{"sh", "-c", setUp, "sh"}, dirs...), Timeout: short}, IO{})
}

// must runs a command that has to succeed.
func (m *Machine) must(ctx context.Context, r call.Run, with IO) error {
	var said strings.Builder
	with.Stderr = &said
	exit, err := m.Run(ctx, r, with)
	if err == nil && (exit.Code != 0 || exit.Error != "") {
		err = fmt.Errorf("%q failed in the host: exit code %d %s: %s", r.Argv, exit.Code, exit.Error, said.String())
	}
	return err
}

// fetchLimit bounds how long bringing something back may take.
const fetchLimit = 5 * time.Minute

// Fetch brings a file or tree of the host back into a directory.
func (m *Machine) Fetch(ctx context.Context, path, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		_, err := hostexec.Host{}.Run(ctx, hostexec.Cmd{
			Name: "tar", Args: []string{"-x", "--no-same-owner", "--no-same-permissions", "--no-overwrite-dir", "-C", dir}, Stdin: r,
		})
		_ = r.CloseWithError(err) // nil never fails
		unpacked <- err
	}()
	parent, base := split(path)
	err := m.must(ctx, call.Run{
		Argv: []string{"tar", "-c", "--ignore-failed-read", "-C", parent, "--", base}, Timeout: fetchLimit,
	}, IO{Stdout: w})
	_ = w.CloseWithError(err) // nil never fails
	return errors.Join(err, <-unpacked)
}

func split(path string) (parent, base string) {
	path = strings.TrimRight(path, "/")
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "/root", path
	}
	return path[:i+1], path[i+1:]
}
