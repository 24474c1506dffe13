//go:build !portable

package openai

import "golang.org/x/sys/cpu"

// vectorAt is how many bytes must be left for plainVector to be worth the call.
const vectorAt = 64

// vector says that plainVector may be called here: every x86 server since 2013
// and every AMD one since 2015 has AVX2.
var vector = cpu.X86.HasAVX2

// plainVector returns how many of the n bytes at p come before the first quote,
// backslash or control character; n if there is none. Only whole blocks of 32 are
// looked at: the answer may be n rounded down to a multiple of 32. It needs
// AVX2. It reads nothing outside of the n bytes and keeps nothing.
//
//go:noescape
func plainVector(p *byte, n int) int
