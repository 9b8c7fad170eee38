package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/banger-vm/banger/internal/kernel/unfit"
)

// maxModules bounds modules.dep; Debian's largest kernel has about 4,500.
const maxModules = 1 << 16

// Modules is the module table of a kernel: modules.dep and modules.builtin.
type Modules struct {
	deps    map[string]module // by canonical name
	builtin map[string]bool
}

type module struct {
	path string
	deps []string // canonical names
}

// ParseModules reads a modules.dep and a modules.builtin.
func ParseModules(dep, builtin io.Reader) (*Modules, error) {
	m := &Modules{deps: map[string]module{}, builtin: map[string]bool{}}
	err := eachLine(dep, func(line string) error {
		file, deps, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("no colon in %q", line)
		}
		mod := module{path: file}
		for _, d := range strings.Fields(deps) {
			mod.deps = append(mod.deps, moduleName(d))
		}
		if !safeModulePath(file) {
			return fmt.Errorf("bad module path %q", file)
		}
		m.deps[moduleName(file)] = mod
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading modules.dep: %w", err)
	}
	err = eachLine(builtin, func(line string) error {
		m.builtin[moduleName(line)] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading modules.builtin: %w", err)
	}
	return m, nil
}

// Closure returns the files (relative to /lib/modules/VERSION) to insert for
// the wanted modules, in an order in which each comes after all it needs.
func (m *Modules) Closure(want []Want) ([]string, error) {
	c := closure{m: m, state: map[string]visit{}}
	for _, w := range want {
		if !m.has(w.Name) {
			if w.Optional {
				continue
			}
			return nil, unfit.New("the kernel has no module %s, which its guests need", w.Name)
		}
		if err := c.add(moduleName(w.Name)); err != nil {
			return nil, err
		}
	}
	return c.files, nil
}

// has says whether the kernel has a module, built in or not.
func (m *Modules) has(name string) bool {
	name = moduleName(name)
	_, ok := m.deps[name]
	return ok || m.builtin[name]
}

type visit int

const (
	unseen visit = iota
	open
	done
)

type closure struct {
	m     *Modules
	state map[string]visit
	files []string
}

// add appends name after all that it needs. Built-in modules need nothing.
func (c *closure) add(name string) error {
	mod, ok := c.m.deps[name]
	switch {
	case c.m.builtin[name] || c.state[name] == done:
		return nil
	case !ok:
		return fmt.Errorf("modules.dep names the module %s as needed, but does not list it", name)
	case c.state[name] == open:
		return fmt.Errorf("the module %s needs itself", name)
	}
	c.state[name] = open
	// modules.dep lists the nearest first.
	for i := len(mod.deps) - 1; i >= 0; i-- {
		if err := c.add(mod.deps[i]); err != nil {
			return err
		}
	}
	c.state[name] = done
	c.files = append(c.files, mod.path)
	return nil
}

// moduleName is the canonical name of a module: what /proc/modules shows.
func moduleName(file string) string {
	name := path.Base(strings.TrimSpace(file))
	name, _, _ = strings.Cut(name, ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func safeModulePath(p string) bool {
	return p != "" && !path.IsAbs(p) && path.Clean(p) == p && p != ".." && !strings.HasPrefix(p, "../")
}

func eachLine(r io.Reader, do func(string) error) error {
	s := bufio.NewScanner(r)
	n := 0
	for s.Scan() {
		if n++; n > maxModules {
			return errors.New("too many modules")
		}
		if line := strings.TrimSpace(s.Text()); line != "" {
			if err := do(line); err != nil {
				return err
			}
		}
	}
	return s.Err()
}
