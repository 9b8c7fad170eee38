package login

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// DefaultPath is PATH where the guest's files do not set it.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Env is the environment of a login of u, on a terminal or not, with own
// variables, as NAME=VALUE, over it; sorted by name.
func (f *Files) Env(u *User, tty bool, own []string) []string {
	env := map[string]string{"PATH": DefaultPath, "LANG": "C.UTF-8"}
	maps.Copy(env, f.environment.read())
	maps.Copy(env, f.locale.read())
	maps.Copy(env, map[string]string{"HOME": u.Home, "USER": u.Name, "LOGNAME": u.Name, "SHELL": u.Shell})
	if tty {
		env["TERM"] = "xterm-256color"
	}
	if dir := fmt.Sprintf("/run/user/%d", u.UID); isDir(dir) {
		env["XDG_RUNTIME_DIR"] = dir
		if _, err := os.Stat(dir + "/bus"); err == nil {
			env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + dir + "/bus"
		}
	}
	for _, kv := range own {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
