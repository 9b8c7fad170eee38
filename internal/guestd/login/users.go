// Package login is who a command in the guest runs as, and with what
// environment, by the guest's own files; their bytes are not trusted.
package login

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxFile bounds the guest's own files that are read here.
const maxFile = 4 << 20

// User is who a command runs as. Home and Shell are never empty.
type User struct {
	Name     string
	UID, GID uint32
	Groups   []uint32 // GID first
	Home     string
	Shell    string
}

// Files are the guest's own that say it, read again only when they have
// changed.
type Files struct {
	passwd              *cachedFile[[]User]
	group               *cachedFile[map[string][]uint32] // by member
	environment, locale *cachedFile[map[string]string]
}

// New reads them in etc, when they are needed.
func New(etc string) *Files {
	return &Files{
		passwd:      &cachedFile[[]User]{path: filepath.Join(etc, "passwd"), parse: parsePasswd},
		group:       &cachedFile[map[string][]uint32]{path: filepath.Join(etc, "group"), parse: parseGroup},
		environment: &cachedFile[map[string]string]{path: filepath.Join(etc, "environment"), parse: parseSettings},
		locale:      &cachedFile[map[string]string]{path: filepath.Join(etc, "default/locale"), parse: parseSettings},
	}
}

// Lookup finds a user by name or uid; false for an unknown name. Root, and a
// uid of nobody, need no entry.
func (f *Files) Lookup(who string) (*User, bool) {
	uid, uidErr := strconv.ParseUint(who, 10, 32)
	found := f.find(func(u *User) bool { return u.Name == who })
	if found == nil && uidErr == nil {
		found = f.find(func(u *User) bool { return u.UID == uint32(uid) })
	}
	switch {
	case found != nil:
	case who == "root" || who == "0":
		found = &User{Name: "root", Home: "/root", Shell: "/bin/sh"}
	case uidErr == nil:
		found = &User{Name: who, UID: uint32(uid), GID: uint32(uid), Home: "/", Shell: "/bin/sh"}
	default:
		return nil, false
	}
	found.Groups = []uint32{found.GID}
	for _, gid := range f.group.read()[found.Name] {
		if gid != found.GID {
			found.Groups = append(found.Groups, gid)
		}
	}
	return found, true
}

// find returns a copy of the first passwd entry that matches.
func (f *Files) find(match func(*User) bool) *User {
	all := f.passwd.read()
	for i := range all {
		if match(&all[i]) {
			u := all[i]
			return &u
		}
	}
	return nil
}

// parsePasswd reads the users, without their groups.
func parsePasswd(text []byte) (users []User) {
	for line := range strings.Lines(string(text)) {
		col := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(col) < 7 {
			continue
		}
		uid, err1 := strconv.ParseUint(col[2], 10, 32)
		gid, err2 := strconv.ParseUint(col[3], 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		u := User{Name: col[0], UID: uint32(uid), GID: uint32(gid), Home: col[5], Shell: col[6]}
		if u.Home == "" {
			u.Home = "/"
		}
		if u.Shell == "" {
			u.Shell = "/bin/sh"
		}
		users = append(users, u)
	}
	return users
}

// parseGroup reads the groups that each user is a member of.
func parseGroup(text []byte) map[string][]uint32 {
	groups := map[string][]uint32{}
	for line := range strings.Lines(string(text)) {
		col := strings.Split(strings.TrimSpace(line), ":")
		if len(col) < 4 {
			continue
		}
		gid, err := strconv.ParseUint(col[2], 10, 32)
		if err != nil {
			continue
		}
		for member := range strings.SplitSeq(col[3], ",") {
			// A line may name a member twice, and a hostile file may be long.
			if in := groups[member]; len(in) == 0 || in[len(in)-1] != uint32(gid) {
				groups[member] = append(in, uint32(gid))
			}
		}
	}
	return groups
}

// parseSettings reads the NAME=VALUE lines of a file in the way of
// /etc/environment.
func parseSettings(text []byte) map[string]string {
	set := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, value, ok := strings.Cut(line, "=")
		if ok && name != "" && !strings.ContainsAny(name, "# \t") {
			set[name] = strings.Trim(value, `"'`)
		}
	}
	return set
}

// cachedFile is what a small file that seldom changes says. One that is not
// there, or cannot be read, says nothing.
type cachedFile[T any] struct {
	path  string
	parse func([]byte) T

	mu    sync.Mutex
	stamp stamp
	said  T // nobody changes it
}

// stamp tells one state of a file from another.
type stamp struct{ size, modified int64 }

func (c *cachedFile[T]) read() T {
	var nothing T
	info, err := os.Stat(c.path)
	if err != nil || info.Size() > maxFile || !info.Mode().IsRegular() {
		return nothing
	}
	now := stamp{info.Size(), info.ModTime().UnixNano()}
	c.mu.Lock()
	said, fresh := c.said, now == c.stamp
	c.mu.Unlock()
	if fresh {
		return said
	}
	text, err := os.ReadFile(c.path)
	if err != nil {
		return nothing
	}
	if said = c.parse(text); time.Since(info.ModTime()) < 2*time.Second {
		now = stamp{} // it may change again within the clock's grain
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamp, c.said = now, said
	return said
}
