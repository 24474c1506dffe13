package tokens

// Before anything is merged a text is split by a pattern. The patterns are
// published in tiktoken_ext/openai_public.py of github.com/openai/tiktoken:
//
//	r50k, p50k  's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//	cl100k      (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//	            ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//	o200k       [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
//	            [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
//	            \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// Here they are code. Each function returns the end of the match that starts at
// text[i]; every character matches something. No character is looked at more
// than a few times, so splitting takes time in proportion to the text.

// split50K is the pattern of r50k and p50k.
func split50K(text []byte, i int) int {
	if end := contraction(text, i, false); end > i {
		return end
	}
	at := i
	if text[i] == ' ' && i+1 < len(text) {
		at++
	}
	c, n := classAt(text, at)
	if c&space != 0 {
		return spaces(text, i, false)
	}
	return runOf(c&(letter|number|symbol), text, at+n)
}

// splitCL100K is the pattern of cl100k.
func splitCL100K(text []byte, i int) int {
	c, n := classAt(text, i)
	next := i + n
	switch {
	case c&letter != 0:
		return runOf(letter, text, next)
	case c&number != 0:
		return threeNumbers(text, next)
	}
	if end := contraction(text, i, true); end > i {
		return end
	}
	if c&newline == 0 && next < len(text) {
		if after, n := classAt(text, next); after&letter != 0 {
			return runOf(letter, text, next+n)
		}
	}
	if end := symbols(text, i); end > i {
		return runOf(newline, text, end)
	}
	return spaces(text, i, true)
}

// splitO200K is the pattern of o200k.
func splitO200K(text []byte, i int) int {
	c, n := classAt(text, i)
	next := i + n
	switch {
	case c&letter != 0:
		_, end := word(text, i)
		return withContraction(text, end)
	case c&number != 0:
		return threeNumbers(text, next)
	}
	if c&newline == 0 && next < len(text) { // it may stand before a word
		lowered, end := word(text, next)
		if !lowered && c&mark != 0 { // or be the word
			return withContraction(text, next)
		}
		if end > next {
			return withContraction(text, end)
		}
	} else if c&mark != 0 {
		return next
	}
	if end := symbols(text, i); end > i {
		for end < len(text) && (text[end] == '\r' || text[end] == '\n' || text[end] == '/') {
			end++
		}
		return end
	}
	return spaces(text, i, true)
}

// word is what both alternatives of o200k have in common. lowered: the first
// one matches, which wants a lower letter (or one that is of no case) at the
// end. Else the second one does, if end > i.
func word(text []byte, i int) (lowered bool, end int) {
	caseless := i
	for end = i; end < len(text); {
		c, n := classAt(text, end)
		if c&upper == 0 {
			if c&lower != 0 {
				return true, runOf(lower, text, end+n)
			}
			break
		}
		end += n
		if c&lower != 0 {
			caseless = end
		}
	}
	// No lower letter follows: give back what stands behind the last caseless one.
	if caseless > i {
		return true, caseless
	}
	return false, end
}

// threeNumbers is the rest of \p{N}{1,3}.
func threeNumbers(text []byte, i int) int {
	for range 2 {
		if i == len(text) {
			break
		}
		c, n := classAt(text, i)
		if c&number == 0 {
			break
		}
		i += n
	}
	return i
}

// symbols is ` ?[^\s\p{L}\p{N}]+`, or nothing.
func symbols(text []byte, i int) int {
	at := i
	if text[i] == ' ' {
		at++
	}
	if end := runOf(symbol, text, at); end > at {
		return end
	}
	return i
}

// spaces is `\s+(?!\S)|\s+`, with lines `\s*[\r\n]+` before it: up to the last
// line break; or else up to the end of the text; or else all but the last
// space, which goes with the next word; or else that one.
func spaces(text []byte, i int, lines bool) int {
	end, last, line := i, i, i
	for end < len(text) {
		c, n := classAt(text, end)
		if c&space == 0 {
			break
		}
		last = end
		end += n
		if c&newline != 0 {
			line = end
		}
	}
	switch {
	case lines && line > i:
		return line
	case end == len(text) || last == i:
		return end
	}
	return last
}

// withContraction is `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`.
func withContraction(text []byte, i int) int {
	if i == len(text) {
		return i
	}
	return contraction(text, i, true)
}

// contraction returns the end of a contraction that starts at text[i], i if
// there is none.
func contraction(text []byte, i int, anyCase bool) int {
	if text[i] != '\'' || i+1 == len(text) {
		return i
	}
	fold := byte(0)
	if anyCase {
		fold = 'a' - 'A'
	}
	first := text[i+1] | fold
	switch first {
	case 's', 't', 'm', 'd':
		return i + 2
	}
	if i+2 == len(text) {
		return i
	}
	switch second := text[i+2] | fold; {
	case second == 'e' && (first == 'r' || first == 'v'), second == 'l' && first == 'l':
		return i + 3
	}
	return i
}
