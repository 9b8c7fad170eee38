package spec

import (
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestSelector(t *testing.T) {
	labels := map[string]string{"ci": "42", "keep": "", "eq": "a=b"}
	for _, test := range []struct {
		s    Selector
		want bool
	}{
		{nil, true},
		{Selector{"ci"}, true},
		{Selector{"ci=42"}, true},
		{Selector{"ci=4"}, false},
		{Selector{"ci="}, false},
		{Selector{"keep="}, true},
		{Selector{"keep"}, true},
		{Selector{"eq=a=b"}, true},
		{Selector{"ci", "keep"}, true},
		{Selector{"ci=42", "none"}, false},
		{Selector{"c"}, false},
	} {
		if got := test.s.Match(labels); got != test.want || test.s.Check() != nil {
			t.Errorf("%q: %v, %v", test.s, got, test.s.Check())
		}
	}
	if !(Selector{}).Match(nil) || (Selector{"a"}).Match(nil) {
		t.Error("a VM without labels")
	}
	for _, bad := range []Selector{{""}, {"ok", "=x"}} {
		if err := bad.Check(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
