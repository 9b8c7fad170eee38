// Package show puts banger's answers before people: tables, sizes, ages,
// progress. Text from guests and images is made harmless on the way.
package show

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SafeLines is Safe for a text of several lines, of which all but the first get
// an indent.
func SafeLines(s, indent string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		lines[i] = Safe(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(lines, "\n"+indent)
}

// Safe returns s with everything escaped that could steer a terminal or
// pretend to be something else: control characters, invisible and
// direction-changing ones, and bytes that are no UTF-8.
func Safe(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || (r != ' ' && !unicode.IsPrint(r)) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}
