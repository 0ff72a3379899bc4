package cli

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// parseSize reads an amount of memory in bytes the way Docker's and runc's
// users write it: a decimal number, also with a fraction, and a unit of k, m, g,
// t or p, each a power of 1024, in upper or lower case, with b or ib behind it or not.
func parseSize(s string) (int64, error) {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.') {
		end++
	}
	shift, ok := unit(strings.TrimPrefix(s[end:], " "))
	if !ok {
		return 0, errors.New("not a size such as 512M or 1.5GiB")
	}
	whole, fraction, hasFraction := strings.Cut(s[:end], ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil && !errors.Is(err, strconv.ErrRange) || hasFraction && fraction == "" {
		return 0, errors.New("not a size such as 512M or 1.5GiB")
	}
	if err != nil || n > math.MaxInt64>>shift {
		return 0, errors.New("too large")
	}
	size := int64(n) << shift
	if !hasFraction {
		return size, nil
	}
	f, err := strconv.ParseFloat("0."+fraction, 64)
	if err != nil {
		return 0, errors.New("not a size such as 512M or 1.5GiB")
	}
	return size + int64(f*float64(int64(1)<<shift)), nil
}

// unit returns the power of 2 that a unit stands for.
func unit(s string) (shift uint, ok bool) {
	s = strings.ToLower(s)
	if s == "" || s == "b" {
		return 0, true
	}
	i := strings.IndexByte("kmgtp", s[0])
	if rest := s[1:]; i < 0 || rest != "" && rest != "b" && rest != "ib" {
		return 0, false
	}
	return 10 * uint(i+1), true
}

// humanSize writes an amount of memory in bytes for people.
func humanSize(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	f, i := float64(n)/1024, 0
	for ; f >= 999.95 && i < 5; i++ {
		f /= 1024
	}
	decimals := 2
	switch {
	case f >= 99.95:
		decimals = 0
	case f >= 9.995:
		decimals = 1
	}
	return strconv.FormatFloat(f, 'f', decimals, 64) + "KMGTPE"[i:i+1] + "iB"
}
