package execs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/banger-vm/banger/internal/guest/wire"
)

// maxFile bounds the guest's own files that are read here.
const maxFile = 4 << 20

// user is who a command runs as.
type user struct {
	name     string
	uid, gid uint32
	groups   []uint32
	home     string
	shell    string
}

// users looks users up in passwd and group, which are read again only when they
// have changed.
type users struct {
	passwd, group *cachedFile
}

func newUsers(etc string) *users {
	return &users{
		passwd: &cachedFile{path: filepath.Join(etc, "passwd")},
		group:  &cachedFile{path: filepath.Join(etc, "group")},
	}
}

// lookup finds a user by name or uid. Root, and a uid of nobody, need no entry.
func (u *users) lookup(who string) (*user, *wire.ExecFail) {
	uid, uidErr := strconv.ParseUint(who, 10, 32)
	found := u.find(func(name, id string) bool { return name == who })
	if found == nil && uidErr == nil {
		found = u.find(func(_, id string) bool { return id == strconv.FormatUint(uid, 10) })
	}
	switch {
	case found != nil:
	case who == "root" || who == "0":
		found = &user{name: "root", home: "/root", shell: "/bin/sh"}
	case uidErr == nil:
		found = &user{name: who, uid: uint32(uid), gid: uint32(uid), home: "/", shell: "/bin/sh"}
	default:
		return nil, invalid("take another with -u, for instance -u root", "there is no user %.64q in this guest", who)
	}
	found.groups = u.groupsOf(found.name, found.gid)
	return found, nil
}

// find returns the first passwd entry that matches.
func (u *users) find(match func(name, uid string) bool) *user {
	for line := range bytes.Lines(u.passwd.read()) {
		f := strings.Split(strings.TrimRight(string(line), "\n"), ":")
		if len(f) < 7 || !match(f[0], f[2]) {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		found := &user{name: f[0], uid: uint32(uid), gid: uint32(gid), home: f[5], shell: f[6]}
		if found.home == "" {
			found.home = "/"
		}
		if found.shell == "" {
			found.shell = "/bin/sh"
		}
		return found
	}
	return nil
}

// groupsOf lists a user's groups, its own first.
func (u *users) groupsOf(name string, own uint32) []uint32 {
	groups := []uint32{own}
	for line := range bytes.Lines(u.group.read()) {
		f := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil || uint32(gid) == own {
			continue
		}
		for member := range strings.SplitSeq(f[3], ",") {
			if member == name {
				groups = append(groups, uint32(gid))
				break
			}
		}
	}
	return groups
}

// cachedFile is a small file that seldom changes. One that is not there, or
// cannot be read, is empty.
type cachedFile struct {
	path string

	mu    sync.Mutex
	stamp string
	data  []byte
}

func (c *cachedFile) read() []byte {
	info, err := os.Stat(c.path)
	if err != nil || info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil
	}
	stamp := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	c.mu.Lock()
	data, fresh := c.data, stamp == c.stamp
	c.mu.Unlock()
	if fresh {
		return data
	}
	if data, err = os.ReadFile(c.path); err != nil {
		return nil
	}
	if time.Since(info.ModTime()) < 2*time.Second {
		stamp = "" // it may change again within the clock's grain
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamp, c.data = stamp, data
	return data
}

// settings are the NAME=VALUE lines of a file in the way of /etc/environment.
func (c *cachedFile) settings() map[string]string {
	set := map[string]string{}
	sc := bufio.NewScanner(bytes.NewReader(c.read()))
	for sc.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(sc.Text()), "export ")
		name, value, ok := strings.Cut(line, "=")
		if ok && name != "" && !strings.ContainsAny(name, "# \t") {
			set[name] = strings.Trim(value, `"'`)
		}
	}
	return set
}
