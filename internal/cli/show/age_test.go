package show

import (
	"testing"
	"time"
)

// A clock that was set back makes no times that are less than nothing.
func TestTimesByAClockThatWasSetBack(t *testing.T) {
	if age, took := Age(-time.Hour), Millis(-3_600_000); age != "0s" || took != "" {
		t.Errorf("%q, %q", age, took)
	}
}
