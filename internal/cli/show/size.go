package show

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const units = "KMGTP"

// ParseSize reads a size: a number of bytes, or one with K, M, G, T or P for
// powers of 1024 ("512M", "1.5G", "4GiB").
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size; write a number and K, M, G or T, for instance 512M or 2G", Safe(s))
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
		return 0, fmt.Errorf("the size %q is too large", Safe(s))
	}
	return int64(n), nil
}

// Size writes a number of bytes for people: "512M", "1.5G".
func Size(n int64) string {
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

// Age writes how long ago something was: "12s", "5m", "3h", "9d".
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Millis writes milliseconds for people.
func Millis(ms float64) string {
	switch {
	case ms == 0:
		return ""
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}
