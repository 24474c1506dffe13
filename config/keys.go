package config

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"
)

const (
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	keyPrefix    = "sk-"
	keyBytes     = 32
	keyDigits    = 43 // of base 62: enough for 32 bytes
	minClientKey = 8
	maxClientKey = 512
)

// HashKey returns what is kept of a client key: its SHA-256 in lower-case hex.
// The keys are random and long, so a plain hash cannot be turned back.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// NewKey makes a client key: "sk-" and 32 random bytes in 43 digits of base 62.
func NewKey() string {
	var random [keyBytes]byte
	rand.Read(random[:]) //nolint:errcheck // crypto/rand never fails since Go 1.24
	return keyPrefix + encode62(random[:])
}

// encode62 writes b as a number of keyDigits digits.
func encode62(b []byte) string {
	var digits [keyDigits]byte
	n, base, digit := new(big.Int).SetBytes(b), big.NewInt(62), new(big.Int)
	for i := keyDigits - 1; i >= 0; i-- {
		n.QuoRem(n, base, digit)
		digits[i] = base62[digit.Int64()]
	}
	return string(digits[:])
}

// Preview shows enough of a key to recognise it: its first five characters
// and its last four. Of a short key it shows fewer, never more than half.
func Preview(key string) string {
	if key == "" {
		return ""
	}
	shown := min(len(key)/2, 9)
	tail := shown / 2
	head := shown - tail
	return printable(key[:head]) + "…" + printable(key[len(key)-tail:])
}

// printable puts a dot for whatever is not printable ASCII: a preview cuts
// between bytes and goes to screens and logs.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, s)
}

// CheckKey says what keeps key from being a client key, or "". It must travel
// in a header as it is, and be long enough not to be guessed at once.
func CheckKey(key string) string {
	if len(key) < minClientKey || len(key) > maxClientKey {
		return "must be 8 to 512 characters long"
	}
	return checkToken(key, maxClientKey)
}
