package lease

import (
	"slices"
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
	if stop, holders := l.StartDeleting("a"); stop != nil || !slices.Equal(holders, []string{"web"}) {
		t.Errorf("it is deleted under %v", holders)
	}
	second()
	stop, holders := l.StartDeleting("a")
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
