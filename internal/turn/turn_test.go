package turn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		at, most := 0, 0
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				release, err := s.Take(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				at++ // -race tells of two at once
				most = max(most, at)
				time.Sleep(time.Second)
				at--
				release()
				release() // again is nothing
			})
		}
		time.Sleep(time.Millisecond)
		other, err := s.Take(t.Context(), "b") // nobody is at that
		if err != nil {
			t.Fatal(err)
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		if _, err := s.Take(ctx, "b"); !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
		other()
		all.Wait()
		if most != 1 || len(s.taken) != 0 {
			t.Errorf("%d at once, %d left", most, len(s.taken))
		}
	})
}
