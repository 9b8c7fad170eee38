package app

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/banger-vm/banger/internal/cli/show"
)

// Seconds is a duration flag; a bare number is seconds, as Docker's are.
type Seconds time.Duration

func (s *Seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type implements pflag.Value.
func (s *Seconds) Type() string { return "duration" }

// Set implements pflag.Value.
func (s *Seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, numErr := strconv.ParseUint(text, 10, 31); numErr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration; write for instance 30s or 2m", show.Safe(text))
	}
	if d == 0 {
		return errors.New("it must be longer than 0")
	}
	*s = Seconds(d)
	return nil
}
