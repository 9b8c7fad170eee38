package naming

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestCheck(t *testing.T) {
	rule := Rule{Owner: "a pet's", Form: regexp.MustCompile(`^[a-z0-9]+$`), Hint: "Use letters."}
	for _, name := range []string{"rex", "0123456789a", "0123456789abc", "0123456789abcdef0", "0123456789ag"} {
		if err := rule.Check(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"0123456789ab":           `"0123456789ab" cannot be a pet's name: it looks like an ID`,
		"0123456789abcdef":       `"0123456789abcdef" cannot be a pet's name: it looks like an ID`,
		"":                       `"" cannot be a pet's name`,
		"../x":                   `"../x" cannot be a pet's name`,
		strings.Repeat("X", 100): `"` + strings.Repeat("X", maxShown) + `…" cannot be a pet's name`,
	} {
		var f *fault.Error
		if err := rule.Check(name); !errors.As(err, &f) || f.Kind != fault.Invalid || f.Hint == "" || err.Error() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}
