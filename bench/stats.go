package main

import (
	"fmt"
	"slices"
	"time"
)

// samples are measurements of one thing, in milliseconds (or another unit).
type samples []float64

func (s *samples) add(d time.Duration) { *s = append(*s, float64(d)/float64(time.Millisecond)) }

// quantile of the sorted samples; the nearest one, never a made-up value
// between two.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s samples) median() float64 { return s.quantile(0.5) }

// String is min / median / p95, or the one value.
func (s samples) String() string {
	switch len(s) {
	case 0:
		return "–"
	case 1:
		return number(s[0])
	}
	return fmt.Sprintf("%s / **%s** / %s", number(s.quantile(0)), number(s.median()), number(s.quantile(0.95)))
}

// number has three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// row is one line of the report.
type row struct {
	Name    string
	Command string `json:",omitempty"`
	Unit    string
	Floor   samples `json:",omitempty"` // none: the limit is of the value itself
	Banger  samples
	Limit   float64 `json:",omitempty"` // of the ratio of medians, or of banger's median; 0: only recorded
}

// value is what the limit is about.
func (r row) value() float64 {
	if len(r.Floor) == 0 {
		return r.Banger.median()
	}
	return r.Banger.median() / r.Floor.median()
}

func (r row) missed() bool { return r.Limit > 0 && r.value() > r.Limit }

func (r row) verdict() string {
	switch {
	case r.Limit == 0:
		return ""
	case r.missed():
		return "MISSED"
	}
	return "ok"
}

// ratio and bound are the columns of the same names.
func (r row) ratio() string {
	if len(r.Floor) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f×", r.value())
}

func (r row) bound() string {
	switch {
	case r.Limit == 0:
		return ""
	case len(r.Floor) == 0:
		return fmt.Sprintf("≤%s %s", trim(r.Limit), r.Unit)
	}
	return fmt.Sprintf("≤%s×", trim(r.Limit))
}

func trim(v float64) string { return fmt.Sprintf("%g", v) }
