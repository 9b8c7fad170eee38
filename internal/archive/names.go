package archive

import (
	"path"
	"slices"
	"strings"

	"github.com/banger-vm/banger/api"
)

// inside checks a name of an archive and returns it in its shortest form, ""
// for the top itself.
func inside(name string) (string, error) {
	if name == "" || len(name) > maxPath+1 || strings.IndexByte(name, 0) >= 0 {
		return "", hostile("a name is empty or impossible")
	}
	if name[0] == '/' {
		return "", hostile("the name %.200q is absolute", name)
	}
	var clean []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", hostile("the name %.200q leaves its directory", name)
		case len(part) > maxName:
			return "", hostile("the name %.200q… is too long", name)
		case part != "" && part != ".":
			clean = append(clean, part)
		}
	}
	if len(clean) > maxDepth {
		return "", hostile("the name %.200q… is too deep", name)
	}
	return path.Join(clean...), nil
}

// placed is the name in the root for one in the archive; isDir is what comes
// first in it.
func (u *unpacker) placed(name string, isDir bool) (string, error) {
	name, err := inside(name)
	if err != nil {
		return "", err
	}
	top, rest, _ := strings.Cut(name, "/")
	if tops := u.place.rules.Tops; tops != nil && !slices.Contains(tops, ".") && !slices.Contains(tops, top) {
		return "", hostile("it holds %.200q, which nobody asked for", name)
	}
	if u.place.as == "" {
		return name, nil
	}
	first := u.top == nil
	if first {
		if u.place.isDir && !isDir {
			return "", refuse(api.KindNotFound, "Make it first.", "there is no directory %s %s", u.place.as, u.place.rules.Side)
		}
		u.top = &top
	}
	switch {
	case *u.top == "": // what is in a directory that has no name
		return path.Join(u.place.as, name), nil
	case top != *u.top:
		return "", hostile("it holds more than one source")
	}
	return path.Join(u.place.as, rest), nil
}
