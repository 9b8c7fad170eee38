// Package man writes the manual pages of commands, in the macros of man(7). They
// are made of what the commands say of themselves by the program that they
// describe, so that they cannot differ from it.
package man

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/banger-vm/banger/internal/cli/app"
)

// Footer is what the pages say of where they come from.
type Footer struct {
	Version string
	Date    time.Time // zero: none
}

// Write writes a page for root and each command below it into dir: banger.1,
// banger-image-ls.1 and so on. A command that is also one of root's, as those of
// vm are, gets a page that refers to that one's.
func Write(root *cobra.Command, f Footer, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of the pages: %w", err)
	}
	return write(root, f, dir)
}

func write(cmd *cobra.Command, f Footer, dir string) error {
	path := filepath.Join(dir, file(cmd))
	if err := os.WriteFile(path, []byte(page(cmd, f)), 0o644); err != nil {
		return fmt.Errorf("writing a manual page: %w", err)
	}
	for _, child := range cmd.Commands() {
		if !shown(child) {
			continue
		}
		if err := write(child, f, dir); err != nil {
			return err
		}
	}
	return nil
}

// shown reports whether a command has a page.
func shown(cmd *cobra.Command) bool { return !cmd.Hidden && cmd.Name() != "help" }

// title is a command's name as a page's: banger-image-ls.
func title(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func file(cmd *cobra.Command) string { return title(cmd) + ".1" }

// twin is the command of root that cmd is another name of, or nil.
func twin(cmd *cobra.Command) *cobra.Command {
	words := strings.Fields(cmd.CommandPath())
	if len(words) < 3 || words[1] != "vm" {
		return nil
	}
	other, rest, err := cmd.Root().Find(words[2:])
	if err != nil || len(rest) > 0 {
		return nil
	}
	return other
}

func page(cmd *cobra.Command, f Footer) string {
	if t := twin(cmd); t != nil {
		return ".so man1/" + file(t) + "\n"
	}
	w := &writer{}
	date := ""
	if !f.Date.IsZero() {
		date = f.Date.UTC().Format(time.DateOnly)
	}
	w.linef(`.TH "%s" "1" "%s" "banger %s" "banger"`, escape(strings.ToUpper(title(cmd))), date, escape(f.Version))
	w.line(".nh") // commands are not to be broken into syllables
	w.section("NAME")
	w.linef(`%s \- %s`, escape(title(cmd)), escape(cmd.Short))
	w.synopsis(cmd)
	w.section("DESCRIPTION")
	if !cmd.HasParent() {
		w.text(overview)
	} else if cmd.Long != "" {
		w.text(cmd.Long)
	} else {
		w.text(cmd.Short + ".")
	}
	if len(cmd.Aliases) > 0 {
		w.text("Other names of it: " + strings.Join(cmd.Aliases, ", ") + ".")
	}
	w.commands(cmd)
	w.options(cmd)
	if cmd.Example != "" {
		w.section("EXAMPLES")
		w.verbatim(cmd.Example)
	}
	if !cmd.HasParent() {
		w.overviewEnd()
	} else {
		w.exit(cmd)
	}
	w.seeAlso(cmd)
	return w.String()
}

func (w *writer) synopsis(cmd *cobra.Command) {
	w.section("SYNOPSIS")
	holds := cmd.HasAvailableSubCommands()
	if holds {
		w.synopsisLine(cmd.CommandPath() + " [flags] COMMAND")
	}
	if !holds || strings.Contains(cmd.Use, " ") { // it does something by itself
		if holds {
			w.line(".br")
		}
		w.synopsisLine(cmd.UseLine())
	}
}

// commands lists those below cmd.
func (w *writer) commands(cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	list := func(in func(*cobra.Command) bool) {
		for _, c := range cmd.Commands() {
			if shown(c) && in(c) {
				w.item(fmt.Sprintf(`.BR %s (1)`, escape(title(c))), c.Short)
			}
		}
	}
	if len(cmd.Groups()) == 0 {
		w.section("COMMANDS")
		list(func(*cobra.Command) bool { return true })
		return
	}
	for _, g := range cmd.Groups() {
		w.section("COMMANDS: " + strings.ToUpper(strings.TrimSuffix(g.Title, ":")))
		list(func(c *cobra.Command) bool { return c.GroupID == g.ID })
	}
}

func (w *writer) options(cmd *cobra.Command) {
	flags := cmd.NonInheritedFlags()
	if !flags.HasAvailableFlags() {
		return
	}
	w.section("OPTIONS")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		heading := fmt.Sprintf(`\fB%s\fR`, escape("--"+f.Name))
		if f.Shorthand != "" {
			heading = fmt.Sprintf(`\fB%s\fR, %s`, escape("-"+f.Shorthand), heading)
		}
		if name != "" {
			heading += fmt.Sprintf(` \fI%s\fR`, escape(name))
		}
		if tells(f) {
			usage += " (default " + f.DefValue + ")"
		}
		w.item(heading, usage)
	})
}

// tells reports whether a flag's default says something.
func tells(f *pflag.Flag) bool {
	switch f.DefValue {
	case "", "0", "false", "[]":
		return false
	}
	return true
}

func (w *writer) exit(cmd *cobra.Command) {
	w.section("EXIT STATUS")
	if cmd.Annotations[app.GuestCode] != "" {
		w.text("That of the command in the guest, and 125 where banger failed before it ran; the others are in banger(1).")
		return
	}
	w.text("0 where it succeeded; the others are in banger(1).")
}

func (w *writer) seeAlso(cmd *cobra.Command) {
	w.section("SEE ALSO")
	switch {
	case !cmd.HasParent():
		w.text("ssh(1), qemu(1)")
	case cmd.Parent().HasParent():
		w.linef(".BR %s (1),\n.BR %s (1)", escape(title(cmd.Root())), escape(title(cmd.Parent())))
	default:
		w.linef(".BR %s (1)", escape(title(cmd.Root())))
	}
}
