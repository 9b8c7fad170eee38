package app

import (
	"strings"

	"github.com/banger-vm/banger/internal/cli/show"
	"github.com/banger-vm/banger/internal/size"
)

// Size reads the value of a flag that is a size of a VM.
func Size(flag, text string) (int64, error) {
	n, err := size.Parse(text)
	switch {
	case err != nil:
		return 0, Usagef("--%s: %w", flag, err)
	case n == 0:
		return 0, Usagef("--%s: a VM cannot have none", flag)
	case n < 1<<20: // mostly somebody who takes it for another unit's number
		return 0, Usagef("--%s: a VM cannot have %d bytes; write a unit: %sM, %sG", flag, n, show.Safe(text), show.Safe(text))
	}
	return n, nil
}

// NewLabels reads labels that a VM is to have; none is nil.
func NewLabels(given []string) (map[string]string, error) {
	var labels map[string]string
	for _, l := range given {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return nil, Usagef("the label %q is not KEY=VALUE", show.Safe(l))
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
	}
	return labels, nil
}
