package show

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func screen(t testing.TB, pieces ...string) string {
	t.Helper()
	var b bytes.Buffer
	s := NewScreen(&b)
	for _, p := range pieces {
		if _, err := s.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestScreen(t *testing.T) {
	for in, want := range map[string]string{
		"plain\r\nlines\tand ünïcode €\n":             "plain\nlines\tand ünïcode €\n",
		"[\x1b[0;1;32m  OK  \x1b[0m] Started\n":       "[  OK  ] Started\n",
		"a\rb\x07\x1b]0;title\x07\x1b[2J\n":           `a\x0db\x07\x1b]0;title\x07\x1b[2J` + "\n",
		"\xff\xfe bad \xe2\x82":                       `\xff\xfe bad \xe2\x82`,
		"hidden \u202e and \u200b\n":                  `hidden \u202e and \u200b` + "\n",
		"\x1b[" + strings.Repeat("1;", 40) + "m":      `\x1b[` + strings.Repeat("1;", 40) + "m",
		"\x1b":                                        `\x1b`,
		"\x1b[1":                                      `\x1b[1`,
		"a\r\r\nb\n":                                  "a\nb\n",
		strings.Repeat("\r", 9) + "\n":                `\x0d` + "\n",
		"prompt: \r":                                  `prompt: \x0d`,
		"\x9b31m c1 in one byte, and \u009b in two\n": `\x9b31m c1 in one byte, and \u009b in two` + "\n",
	} {
		if got := screen(t, in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := screen(t, strings.Split(in, "")...); utf8.ValidString(in) && got != want {
			t.Errorf("%q in pieces: %q, want %q", in, got, want)
		}
	}
}

func FuzzScreen(f *testing.F) {
	f.Add([]byte("a\x1b[31mb\x1b[0m\r\n"), uint8(3))
	f.Add([]byte("\xe2\x82\xac\x1b]\x07"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, at uint8) {
		whole := screen(t, string(in))
		n := min(int(at), len(in))
		if cut := screen(t, string(in[:n]), string(in[n:])); cut != whole {
			t.Fatalf("in two pieces %q, in one %q", cut, whole)
		}
		for line := range strings.SplitSeq(whole, "\n") {
			if plain := strings.ReplaceAll(line, "\t", ""); Safe(plain) != plain {
				t.Fatalf("%q is not safe", line)
			}
		}
	})
}
