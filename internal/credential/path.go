package credential

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Where a file may lie in a guest: in its user's home, or in etc.
const (
	Home = "~/"
	Etc  = "/etc/"
)

// CleanPath brings a path in a guest into its one form: ~/… in the user's home,
// of which a relative path is one, or /etc/…. Any other is an error.
func CleanPath(p string) (string, error) {
	if p == "" || !readable(p) {
		return "", fmt.Errorf("%.80q is no path", p)
	}
	if slices.Contains(strings.Split(p, "/"), "..") {
		return "", fmt.Errorf("the path %q has .. in it", p)
	}
	top, rest := Home, p
	switch {
	case strings.HasPrefix(p, Home):
		rest = strings.TrimPrefix(p, Home)
	case strings.HasPrefix(p, Etc):
		top, rest = Etc, strings.TrimPrefix(p, Etc)
	case path.IsAbs(p) || strings.HasPrefix(p, "~"):
		return "", fmt.Errorf("%q is neither in the user's home (~/…) nor in /etc", p)
	}
	rest = path.Clean("/" + rest)[1:]
	if rest == "" {
		return "", fmt.Errorf("%q is a directory", p)
	}
	if len(top)+len(rest) > MaxPath {
		return "", errors.New("the path of a file is longer than " + fmt.Sprint(MaxPath) + " bytes")
	}
	return top + rest, nil
}
