package bootstrap

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// mmdebstrap's modes. In the second it makes no device nodes, which is nothing
// to a guest: its kernel makes them.
const (
	modeRoot    = "root"
	modeUnshare = "unshare"
)

func (b *Builder) mode() string {
	if b.cfg.UID == 0 {
		return modeRoot
	}
	return modeUnshare
}

// userNamespace are the options of unshare(1) for who is not root: a user
// namespace in which we are root, and our subordinate IDs everybody else. So
// the files of the image's root are ours outside of it, and can be worked on.
func (b *Builder) userNamespace() []string {
	if b.cfg.UID == 0 {
		return nil
	}
	return []string{"--user", "--map-root-user", "--map-auto"}
}

// asOwner is a command that sees the owners of files as the image has them.
func (b *Builder) asOwner(name string, args ...string) hostexec.Cmd {
	in := b.userNamespace()
	if in == nil {
		return hostexec.Cmd{Name: name, Args: args}
	}
	return hostexec.Cmd{
		Name: "unshare", Args: append(append(in, "--", name), args...),
		// An ordinary user's lacks where mke2fs is.
		Env: append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"),
	}
}

// noNamespace explains what unshare(1) said; nil if it was not about namespaces.
func (b *Builder) noNamespace(said string) error {
	switch {
	case strings.Contains(said, "failed to execute newuidmap"), strings.Contains(said, "failed to execute newgidmap"):
		return fault.New(fault.Precondition, "Install it with: sudo apt-get install uidmap",
			"making an image as an ordinary user needs newuidmap and newgidmap, which are not installed")
	case strings.Contains(said, "unshare: unshare failed") && b.cfg.UID != 0:
		return fault.New(fault.Precondition, "Allow it with: sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 (or run banger as root).",
			"making an image as an ordinary user needs a user namespace, which this system refuses")
	case strings.Contains(said, "unshare: unshare failed"):
		return fault.New(fault.Precondition, "Run banger where it may make namespaces (a container needs CAP_SYS_ADMIN).", "making an image needs a mount namespace, which this system refuses")
	}
	return nil
}

// needed is how many subordinate IDs an image needs: all up to nobody's, but
// for root's.
const needed = 65534

// firstSubordinate is where useradd(8) begins to give them.
const firstSubordinate = 100_000

// Subordinates wants subordinate IDs for who is not root, or says which to give.
func (b *Builder) Subordinates() error {
	if b.cfg.UID == 0 {
		return nil
	}
	return subordinates(b.cfg)
}

// subordinates wants subordinate IDs for the user, or says which to give.
func subordinates(cfg Config) error {
	name := strconv.Itoa(cfg.UID)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	free, small := firstSubordinate, false
	var lacks []string
	for _, file := range []string{cfg.SubUID, cfg.SubGID} {
		count, end, err := readSubordinates(file, name, cfg.UID)
		if err != nil {
			return fmt.Errorf("reading the subordinate IDs of users: %w", err)
		}
		if count < needed {
			lacks, small = append(lacks, file), small || count > 0
		}
		free = max(free, end)
	}
	if len(lacks) == 0 {
		return nil
	}
	ids := fmt.Sprintf("%d-%d", free, free+needed+1)
	hint := fmt.Sprintf("Give the user some with: sudo usermod --add-subuids %s --add-subgids %s %s", ids, ids, name)
	if small { // usermod would add them where they are not used
		hint = fmt.Sprintf("Put this line before the user's other ones there: %s:%d:%d", name, free, needed+2)
	}
	return fault.New(fault.Precondition, hint,
		"making an image as an ordinary user needs %d subordinate user and group IDs, and %s has not so many in %s", needed, name, strings.Join(lacks, " and "))
}

// readSubordinates reads the user's first range, the one that is used, and
// where all users' ranges end. No file has none.
func readSubordinates(path, name string, uid int) (count, end int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	found := false
	s := bufio.NewScanner(f)
	for s.Scan() {
		fields := strings.Split(strings.TrimSpace(s.Text()), ":")
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.Atoi(fields[1])
		n, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil || first < 0 || n < 0 {
			continue
		}
		if mine := fields[0] == name || fields[0] == strconv.Itoa(uid); mine && !found {
			found, count = true, n
		}
		end = max(end, first+n)
	}
	return count, end, s.Err()
}
