package lease

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestLeasesAndDeletionsExcludeEachOther(t *testing.T) {
	var l Leases
	first, err := l.Take("a", "image", "dev")
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Take("a", "image", "web")
	if err != nil {
		t.Fatal(err)
	}
	first()
	first() // again is no harm
	if stop, holders := l.startDeleting("a"); stop != nil || !slices.Equal(holders, []string{"web"}) {
		t.Errorf("it is deleted under %v", holders)
	}
	second()
	stop, holders := l.startDeleting("a")
	if stop == nil || len(holders) > 0 {
		t.Fatalf("%v hold what nobody does", holders)
	}
	if _, err := l.Take("a", "image", "late"); fault.KindOf(err) != fault.Busy {
		t.Errorf("what is being deleted is leased: %v", err)
	}
	if release, err := l.Take("b", "image", "other"); err != nil {
		t.Errorf("another is not: %v", err)
	} else {
		release()
	}
	stop()
	if release, err := l.Take("a", "image", "next"); err != nil {
		t.Errorf("after that it is not: %v", err)
	} else {
		release()
	}
}

func TestDelete(t *testing.T) {
	var l Leases
	image, removed := Thing{ID: "a", What: "image", Name: "debian"}, 0
	remove := func() error {
		removed++
		if _, err := l.Take("a", "image", "late"); fault.KindOf(err) != fault.Busy {
			t.Errorf("it is leased while it is removed: %v", err)
		}
		return nil
	}
	var users []string
	var broken error
	by := func(context.Context, string) ([]string, error) { return users, broken }
	refused := func(want string) {
		t.Helper()
		err := l.Delete(t.Context(), image, by, remove)
		if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), want) || removed > 0 {
			t.Errorf("%v; it was removed %d times", err, removed)
		}
	}
	release, err := l.Take("a", "image", "making")
	if err != nil {
		t.Fatal(err)
	}
	refused("the image debian is in use by making")
	release()
	users = strings.Split("m l k j i h g f e d c b", " ")
	refused("in use by b, c, d, e, f, g, h, i, j, k, …")
	users, broken = nil, errors.New("broken")
	if err := l.Delete(t.Context(), image, by, remove); !errors.Is(err, broken) || removed > 0 {
		t.Errorf("%v; it was removed %d times", err, removed)
	}
	broken = nil
	if err := l.Delete(t.Context(), image, by, remove); err != nil || removed != 1 {
		t.Errorf("%v; it was removed %d times", err, removed)
	}
	if release, err := l.Take("a", "image", "next"); err != nil {
		t.Error(err)
	} else {
		release()
	}
}
