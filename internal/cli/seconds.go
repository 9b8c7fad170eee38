package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/banger-vm/banger/internal/cli/show"
)

// seconds is a duration flag; a bare number is seconds, as Docker's are.
type seconds time.Duration

func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type implements pflag.Value.
func (s *seconds) Type() string { return "duration" }

// Set implements pflag.Value.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, numErr := strconv.ParseUint(text, 10, 31); numErr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration; write for instance 30s or 2m", show.Safe(text))
	}
	*s = seconds(d)
	return nil
}
