package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// maxFile bounds what is read of a file that the image wrote.
const maxFile = 256 << 10

// Replace makes name a regular file with this content and mode, at once and
// whole. A file that is so already is left alone.
func Replace(root *os.Root, name string, content []byte, mode fs.FileMode) error {
	if st, err := root.Lstat(name); err == nil && st.Mode() == mode && st.Size() == int64(len(content)) {
		if old, err := ReadFile(root, name); err == nil && bytes.Equal(old, content) {
			return nil
		}
	}
	tmp := name + ".banger-new"
	if err := root.RemoveAll(tmp); err != nil {
		return fmt.Errorf("writing /%s: %w", name, err)
	}
	f, err := root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("writing /%s: %w", name, err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing /%s: %w", name, err), root.RemoveAll(tmp))
	}
	return nil
}

// ReadFile reads a regular file of bounded size.
func ReadFile(root *os.Root, name string) ([]byte, error) {
	st, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return nil, fmt.Errorf("/%s is no regular file of at most %d bytes", name, maxFile)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// hostsMark is at the end of the line that is ours.
const hostsMark = " # banger"

// writeHosts gives the host name an address in /etc/hosts, where it has none.
func writeHosts(root *os.Root, hostname string) error {
	old, err := ReadFile(root, "etc/hosts")
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte("127.0.0.1\tlocalhost\n::1\tlocalhost\n"), nil
	}
	if err != nil {
		return fmt.Errorf("reading /etc/hosts: %w", err)
	}
	var out strings.Builder
	known := false
	for line := range strings.Lines(string(old)) {
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), hostsMark) {
			continue
		}
		out.WriteString(line)
		entry, _, _ := strings.Cut(line, "#")
		if names := strings.Fields(entry); len(names) > 1 {
			for _, name := range names[1:] {
				known = known || name == hostname
			}
		}
	}
	if !known {
		if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
			out.WriteString("\n")
		}
		out.WriteString("127.0.1.1\t" + hostname + hostsMark + "\n")
	}
	return Replace(root, "etc/hosts", []byte(out.String()), 0o644)
}

// UserKeys are the user's own public keys, which the SSH server takes besides the
// identity's, on a tmpfs; who writes them is another.
const UserKeys = "run/banger/auth/authorized_keys"

const (
	sshKeys   = "etc/ssh/banger_authorized_keys"
	sshDropIn = "etc/ssh/sshd_config.d/10-banger.conf"
)

// writeSSH writes the SSH host keys, their public halves and who may log in,
// where the image has an SSH server. The server reads its drop-ins first, and
// of an option the first value counts: the users' own keys stay in it.
func writeSSH(root *os.Root, id wire.Identity) (errs []error) {
	if st, err := root.Stat("etc/ssh"); err != nil || !st.IsDir() {
		return nil
	}
	if err := root.Mkdir("etc/ssh/sshd_config.d", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		errs = append(errs, fmt.Errorf("making /etc/ssh/sshd_config.d: %w", err))
	}
	errs = append(errs,
		Replace(root, sshKeys, []byte(strings.Join(append(id.AuthorizedKeys[:len(id.AuthorizedKeys):len(id.AuthorizedKeys)], ""), "\n")), 0o644),
		Replace(root, sshDropIn, []byte("AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 /"+sshKeys+" /"+UserKeys+"\n"), 0o644))
	for name, key := range id.HostKeys {
		public, err := publicKey(key)
		if err != nil {
			errs = append(errs, fmt.Errorf("the SSH host key %s is broken: %w", name, err))
			continue
		}
		errs = append(errs,
			Replace(root, "etc/ssh/"+name, key, 0o600),
			Replace(root, "etc/ssh/"+name+".pub", []byte(public), 0o644))
	}
	return errs
}
