package main

import "time"

// turn is one of several things that are measured in turns.
type turn struct {
	into *samples
	do   func() error
}

// atATime is how many measurements a turn has; one more before them finds the
// other side's traces in all caches and is not counted.
const atATime = 10

// inTurns measures each thing n times.
func inTurns(n int, turns ...turn) error {
	for done := 0; done < n; done += atATime {
		for _, t := range turns {
			for i := range min(atATime, n-done) + 1 {
				start := time.Now()
				if err := t.do(); err != nil {
					return err
				}
				if i > 0 {
					t.into.add(time.Since(start))
				}
			}
		}
	}
	return nil
}

func second[T any](_ T, err error) error { return err }
