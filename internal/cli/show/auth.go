package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/size"
)

// VMAuth is what a VM has of its user's own.
type VMAuth struct {
	VM string `json:"vm"`
	api.VMAuth
}

// Auth writes a table of what VMs have of their users' own.
func Auth(w io.Writer, all []VMAuth) error {
	t := NewTable("VM", "KIND", "WHAT", "SIZE", "STATE")
	for _, a := range all {
		if a.Off {
			state := "it gets nothing"
			if len(a.Files) > 0 {
				state += " else"
			}
			t.Row(a.VM, "", "", "", state)
		}
		if a.Git != nil {
			t.Row(a.VM, "git", person(*a.Git), "", "")
		}
		for _, key := range a.SSHKeys {
			t.Row(a.VM, "key", shortKey(key), "", "")
		}
		for _, f := range a.Files {
			what, bytes := f.Path, ""
			if f.Mode != 0 { // 0: it was taken away
				what, bytes = fmt.Sprintf("%s (%04o)", f.Path, f.Mode), size.Format(int64(f.Size))
			}
			t.Row(a.VM, "file", what, bytes, f.State)
		}
		for _, problem := range a.Problems {
			t.Row(a.VM, "", "", "", clip(problem, 100))
		}
	}
	return t.Write(w)
}

func person(g api.GitIdentity) string {
	if g.Email == "" {
		return g.Name
	}
	return strings.TrimSpace(g.Name + " <" + g.Email + ">")
}

// shortKey is a public key without what nobody reads.
func shortKey(line string) string {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return line
	}
	body := fields[1]
	return strings.Join(append([]string{fields[0], "…" + body[max(0, len(body)-8):]}, fields[2:]...), " ")
}

// authFields are lines of inspect.
func authFields(a *api.VMAuth) (fields []string) {
	if a == nil {
		return nil
	}
	if a.Off {
		fields = append(fields, "Auth", "it gets nothing; to change that: banger auth push")
	}
	if a.Git != nil {
		fields = append(fields, "Git", person(*a.Git))
	}
	for _, key := range a.SSHKeys {
		fields = append(fields, "SSH key", shortKey(key))
	}
	for _, f := range a.Files {
		fields = append(fields, "Credential", fmt.Sprintf("%s (%s)", f.Path, f.State))
	}
	for _, problem := range a.Problems {
		fields = append(fields, "Auth problem", problem)
	}
	return fields
}
