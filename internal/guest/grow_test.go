package guest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/test/guestrig"
)

// What a guest tells of its file system is not believed where it cannot be.
func TestImpossibleGrowth(t *testing.T) {
	for answer, ok := range map[string]bool{
		`{"size":1073741824}`: true, `{"size":1000000000}`: true, `{"size":0}`: false, `{"size":-1}`: false,
		`{"size":1073741825}`: false, `{}`: false, `{"size":1e99}`: false, `no`: false,
	} {
		c := guestrig.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, answer) }))
		if size, err := c.Grow(t.Context(), 1<<30); (err == nil) != ok {
			t.Errorf("%s: %d, %v", answer, size, err)
		}
	}
	c := guestrig.Serve(t, http.NotFoundHandler())
	if _, err := c.Grow(t.Context(), 1<<30); fault.KindOf(err) != fault.Precondition {
		t.Errorf("an older agent: %v", err)
	}
}
