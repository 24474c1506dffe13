package config

import (
	"errors"
	"strconv"
	"strings"
)

// USD is an amount of US dollars in millionths: exact, unlike a float.
type USD int64

// OneUSD is a dollar.
const OneUSD USD = 1_000_000

// mostUSD is the largest amount that can be declared.
const mostUSD = 1_000_000_000 * OneUSD

const wantUSD = "must be US dollars, a number from 0 to 1000000000 with at most 6 decimals"

// ParseUSD reads a decimal number such as 2.5: no sign, no exponent, and no
// more than six decimals.
func ParseUSD(text string) (USD, error) {
	whole, fraction, dotted := strings.Cut(text, ".")
	if !isDigits(whole) || len(whole) > 10 || dotted && (!isDigits(fraction) || len(fraction) > 6) {
		return 0, errors.New(wantUSD)
	}
	digits := whole + fraction + "000000"[len(fraction):]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || USD(n) > mostUSD {
		return 0, errors.New(wantUSD)
	}
	return USD(n), nil
}

// isDigits reports whether text is one or more decimal digits.
func isDigits(text string) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

// String writes the amount as ParseUSD reads it, without zeros at the end.
func (u USD) String() string {
	sign, n := "", uint64(u)
	if u < 0 {
		sign, n = "-", -n
	}
	whole := sign + strconv.FormatUint(n/uint64(OneUSD), 10)
	if n %= uint64(OneUSD); n == 0 {
		return whole
	}
	fraction := strconv.FormatUint(n+uint64(OneUSD), 10)[1:]
	return whole + "." + strings.TrimRight(fraction, "0")
}

// MarshalJSON writes a JSON number.
func (u USD) MarshalJSON() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalJSON reads a JSON number as ParseUSD does.
func (u *USD) UnmarshalJSON(raw []byte) (err error) {
	*u, err = ParseUSD(string(raw))
	return err
}

// checkUSD says what is wrong with an amount that somebody declares.
func checkUSD(u USD) string {
	if u < 0 || u > mostUSD {
		return wantUSD
	}
	return ""
}
