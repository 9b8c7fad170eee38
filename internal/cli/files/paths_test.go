package files

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		args []string
		want job
		says string
	}{
		{[]string{"src", "dev:"}, job{vm: "dev", put: true, sources: []string{"src"}}, ""},
		{[]string{"a", "b", "dev:/srv/"}, job{vm: "dev", put: true, sources: []string{"a", "b"}, dest: "/srv/"}, ""},
		{[]string{"dev:a", "."}, job{vm: "dev", sources: []string{"a"}, dest: "."}, ""},
		{[]string{"dev:a", "dev:b:c", "out"}, job{vm: "dev", sources: []string{"a", "b:c"}, dest: "out"}, ""},
		{[]string{"./a:b", "dev:x"}, job{vm: "dev", put: true, sources: []string{"./a:b"}, dest: "x"}, ""},
		{[]string{"-", "dev:x"}, job{vm: "dev", put: true, sources: []string{"-"}, dest: "x", archive: true}, ""},
		{[]string{"dev:x", "-"}, job{vm: "dev", sources: []string{"x"}, dest: "-", archive: true}, ""},
		{[]string{"dev:-", "x"}, job{vm: "dev", sources: []string{"-"}, dest: "x"}, ""},
		{[]string{"a", "b"}, job{}, "one side is a VM's"},
		{[]string{"a:x", "b:y"}, job{}, "from VM to VM"},
		{[]string{"a:x", "b:y", "z"}, job{}, "of two VMs, a and b"},
		{[]string{"a:x", "y", "z"}, job{}, "one side is a VM's"},
		{[]string{"-", "x", "dev:"}, job{}, "copied alone"},
		{[]string{":x", "y"}, job{}, "names no VM"},
		{[]string{"", "dev:"}, job{}, "is empty"},
	} {
		got, err := plan(c.args)
		switch {
		case c.says != "":
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: %v", c.args, err)
			}
		case err != nil:
			t.Errorf("%q: %v", c.args, err)
		case !cmp.Equal(got, c.want, cmp.AllowUnexported(job{})):
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}
