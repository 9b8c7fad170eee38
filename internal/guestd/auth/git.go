package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/guestd/identity"
)

// gitConfig is in runDir: an image made of the root does not know its user.
const gitConfig = "gitconfig"

// systemConfig is what git reads before all that is a user's or a repository's.
const systemConfig = "etc/gitconfig"

// include has git read gitConfig; where that is not there, git minds nothing.
const include = "[include] path = /" + runDir + "/" + gitConfig + gitMark

// gitMark is at the end of the line that is ours.
const gitMark = " # banger"

// git tells git who the user is. Signing is off, as the keys are elsewhere, until
// the user or a repository says otherwise.
func (to *receiver) git(who *credential.Git) error {
	if who == nil {
		return errors.Join(ignoreMissing(to.root.Remove(runDir+"/"+gitConfig)), to.include(false))
	}
	var text strings.Builder
	text.WriteString("[user]\n")
	for _, v := range [][2]string{{"name", who.Name}, {"email", who.Email}} {
		if v[1] != "" {
			fmt.Fprintf(&text, "\t%s = %s\n", v[0], quote(v[1]))
		}
	}
	text.WriteString("[commit]\n\tgpgSign = false\n[tag]\n\tgpgSign = false\n\tforceSignAnnotated = false\n[push]\n\tgpgSign = false\n")
	if err := identity.Replace(to.root, runDir+"/"+gitConfig, []byte(text.String()), 0o644); err != nil {
		return err
	}
	return to.include(true)
}

// quote writes a value as git reads it.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// include puts our line at the beginning of the system's configuration, whose own
// lines then count more, or takes it out.
func (to *receiver) include(on bool) error {
	st, err := to.root.Lstat(systemConfig)
	there := err == nil
	if there && !st.Mode().IsRegular() {
		if !on {
			return nil
		}
		return errors.New("git does not know its user: /" + systemConfig + " is no regular file")
	}
	var old []byte
	if there {
		old, err = identity.ReadFile(to.root, systemConfig)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading /%s: %w", systemConfig, err)
	}
	var text bytes.Buffer
	if on {
		text.WriteString(include + "\n")
	}
	for line := range bytes.Lines(old) {
		if !bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte(gitMark)) {
			text.Write(line)
		}
	}
	switch {
	case text.Len() > 0:
		mode := fs.FileMode(0o644)
		if there {
			mode = st.Mode()
		}
		return identity.Replace(to.root, systemConfig, text.Bytes(), mode)
	case there && len(old) > 0: // there was our line alone
		return to.root.Remove(systemConfig)
	}
	return nil
}
