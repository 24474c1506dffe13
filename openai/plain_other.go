//go:build !amd64 || portable

package openai

// Elsewhere eight bytes at a time have to do: see plain_amd64.go.
const (
	vector   = false
	vectorAt = 0
)

func plainVector(*byte, int) int { return 0 }
