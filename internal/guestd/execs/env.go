package execs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/banger-vm/banger/api"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// defaultEnv is what the guest's files say that every login has.
type defaultEnv struct {
	environment, locale *cachedFile
}

func newDefaultEnv(etc string) *defaultEnv {
	return &defaultEnv{
		environment: &cachedFile{path: filepath.Join(etc, "environment")},
		locale:      &cachedFile{path: filepath.Join(etc, "default/locale")},
	}
}

// login is the environment of a login of u, with spec's own variables.
func (d *defaultEnv) login(u *user, spec *api.ExecSpec) []string {
	env := map[string]string{"PATH": defaultPath, "LANG": "C.UTF-8"}
	maps.Copy(env, d.environment.settings())
	maps.Copy(env, d.locale.settings())
	maps.Copy(env, map[string]string{"HOME": u.home, "USER": u.name, "LOGNAME": u.name, "SHELL": u.shell})
	if spec.TTY {
		env["TERM"] = "xterm-256color"
	}
	if dir := fmt.Sprintf("/run/user/%d", u.uid); isDir(dir) {
		env["XDG_RUNTIME_DIR"] = dir
		if _, err := os.Stat(dir + "/bus"); err == nil {
			env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + dir + "/bus"
		}
	}
	for _, kv := range spec.Env {
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
