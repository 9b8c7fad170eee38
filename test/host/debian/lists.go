package debian

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/banger-vm/banger/internal/hostexec"
)

// catFile prints a file of apt's, unpacked.
const catFile = "/usr/lib/apt/apt-helper"

// Lists returns a directory with this machine's package lists for the host's
// apt, so that banger finds in the host what it finds here, without a network.
// They hold the kernels alone: an emulated apt reads all of Debian for minutes.
func (m *Maker) Lists(ctx context.Context) (string, error) {
	res, err := m.run.Run(ctx, hostexec.Cmd{
		Name: "apt-get", Args: []string{"indextargets", "--format", "$(FILENAME)", "Created-By: Packages", "Origin: Debian"},
	})
	if err != nil {
		return "", fmt.Errorf("asking apt for its package lists: %w", err)
	}
	files := strings.Fields(string(res.Stdout))
	key := sha256.New()
	for _, file := range files {
		st, err := os.Stat(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(key, file, st.Size(), st.ModTime().UnixNano())
	}
	dir := filepath.Join(m.cfg.Dir, "lists", hex.EncodeToString(key.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".making-")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if err := m.reduce(ctx, file, tmp); err != nil {
			return "", errors.Join(err, os.RemoveAll(tmp))
		}
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, dir)); err != nil {
		return "", errors.Join(err, os.RemoveAll(tmp))
	}
	return dir, nil
}

// reduce writes the kernels of a package list, and the release that it is of,
// into dir.
func (m *Maker) reduce(ctx context.Context, file, dir string) error {
	plain := strings.TrimSuffix(file, filepath.Ext(file))
	if !strings.HasSuffix(plain, "_Packages") {
		plain = file
	}
	suite, _, ok := strings.Cut(plain, "_dists_")
	name, _, ok2 := strings.Cut(strings.TrimPrefix(plain, suite+"_dists_"), "_")
	if !ok || !ok2 {
		return fmt.Errorf("%s does not have the name of a package list", file)
	}
	release := suite + "_dists_" + name + "_InRelease"
	body, err := os.ReadFile(release)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(release)), body, 0o644); err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(dir, filepath.Base(plain)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	kept := make(chan error, 1)
	go func() {
		err := keepKernels(out, r)
		_ = r.CloseWithError(err) // nil never fails
		kept <- err
	}()
	_, err = m.run.Run(ctx, hostexec.Cmd{Name: catFile, Args: []string{"cat-file", file}, Stdout: w})
	_ = w.CloseWithError(err) // nil never fails
	return errors.Join(err, <-kept, out.Close())
}

// maxStanza bounds what a package list says of one package.
const maxStanza = 4 << 20

// keepKernels copies the stanzas of cloud kernels.
func keepKernels(w io.Writer, r io.Reader) error {
	stanzas := bufio.NewScanner(r)
	stanzas.Buffer(nil, maxStanza)
	stanzas.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
			return i + 2, data[:i+2], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for stanzas.Scan() {
		s := stanzas.Bytes()
		name, _, _ := bytes.Cut(s, []byte("\n"))
		if bytes.HasPrefix(name, []byte("Package: linux-image-")) && bytes.HasSuffix(name, []byte("cloud-amd64")) {
			if _, err := w.Write(s); err != nil {
				return err
			}
		}
	}
	return stanzas.Err()
}
