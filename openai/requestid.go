package openai

import "math/rand/v2"

// AppendRequestID appends the id that a request goes by. It is the client's
// own, and own is true, if that is 1 to 128 printable ASCII characters; else it
// is made here of 128 random bits, which need not be secret, only different.
func AppendRequestID(dst, asked []byte) (id []byte, own bool) {
	if fitRequestID(asked) {
		return append(dst, asked...), true
	}
	const digits = "0123456789abcdef"
	for range 2 {
		for bits, i := rand.Uint64(), 0; i < 16; i++ {
			dst = append(dst, digits[bits&15])
			bits >>= 4
		}
	}
	return dst, false
}

func fitRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
