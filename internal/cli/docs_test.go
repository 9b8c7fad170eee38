package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/cli/app"
)

// What the pages show is understood by the program: each of its commands is
// there, takes those flags and that many arguments. A command whose transcript
// goes on with its refusal may be wrong.
func TestDocsAreUnderstood(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			code, ok := strings.CutPrefix(line, "    ")
			if !ok {
				continue
			}
			code, prompt := strings.CutPrefix(code, "$ ")
			if !prompt && !strings.HasPrefix(code, "banger ") {
				continue
			}
			if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    banger: ") {
				continue
			}
			for _, words := range commands(code) {
				if words[0] != "banger" || slices.Contains(words, "…") || !prompt && strings.Contains(code, "VERSION") {
					continue
				}
				tried++
				if err := understood(words[1:]); err != nil {
					t.Errorf("%s:%d: %s: %v", filepath.Base(page), i+1, strings.Join(words, " "), err)
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d commands were found", tried)
	}
}

func understood(args []string) error {
	cmd, rest, err := newRoot(&app.App{}).Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, cmd.Flags().Args())
}

// commands are the simple commands of a shell's line, as far as the pages need
// it: quotes, pipes, lists, redirections and comments.
func commands(line string) (all [][]string) {
	var words []string
	var word strings.Builder
	begun := false
	endWord := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	endCommand := func() {
		endWord()
		words = slices.DeleteFunc(words, func(w string) bool {
			return strings.HasPrefix(w, ">") || strings.HasPrefix(w, "<") || strings.HasPrefix(w, "2>")
		})
		if len(words) > 0 {
			all = append(all, words)
		}
		words = nil
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'' || c == '"':
			end := strings.IndexByte(line[i+1:], c)
			if end < 0 {
				end = len(line) - i - 1
			}
			word.WriteString(line[i+1 : i+1+end])
			begun = true
			i += end + 1
		case c == ' ':
			endWord()
		case c == '#' && !begun:
			endCommand()
			return all
		case c == '|' || c == ';' || c == '&':
			endCommand()
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	endCommand()
	return all
}
