// Package size reads and writes numbers of bytes as people do.
package size

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const units = "KMGTP"

// Parse reads a size: a number of bytes, or one with K, M, G, T or P for
// powers of 1024 ("512M", "1.5G", "4GiB").
func Parse(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size; write a number and K, M, G or T, for instance 512M or 2G", s)
	text := strings.ToUpper(strings.TrimSpace(s))
	text = strings.TrimSuffix(strings.TrimSuffix(text, "B"), "I")
	factor := 1.0
	if n := len(text); n > 0 {
		if i := strings.IndexByte(units, text[n-1]); i >= 0 {
			factor = math.Pow(1024, float64(i+1))
			text = text[:n-1]
		} else if strings.ToUpper(s) != text && !strings.EqualFold(s, text+"B") {
			return 0, bad
		}
	}
	for _, r := range text {
		if (r < '0' || r > '9') && r != '.' {
			return 0, bad
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, bad
	}
	if n *= factor; n >= 1<<62 {
		return 0, fmt.Errorf("the size %q is too large", s)
	}
	return int64(n), nil
}

// Format writes a number of bytes for people: "512M", "1.5G".
func Format(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	text := strconv.FormatFloat(f, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0") + units[unit:unit+1]
}
