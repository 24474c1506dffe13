package upstream

// chunked takes the chunked framing of RFC 9112 section 7.1 out of a body, in
// place and however its bytes are cut into reads.
//
// It is strict where two readers could disagree on where a body ends: lines
// end in CRLF, sizes are 1 to 16 hexadecimal digits, a chunk's data is
// followed by CRLF and nothing else. Extensions are skipped and trailers
// dropped, both within bounds.
//
// The zero value begins a body.
type chunked struct {
	state chunkState
	left  uint64 // bytes of this chunk that are to come
	digits,
	line int // of the size; bytes of this line
	// overhead is what framing there was beyond 16 bytes a chunk and two
	// for each byte of data. More than overheadMax is an attack on patience.
	overhead int
}

const (
	chunkLineMax = 4 << 10
	trailersMax  = 16 << 10
	overheadMax  = 16 << 10
)

type chunkState uint8

const (
	chunkSize    chunkState = iota // first digit of a size
	chunkDigits                    // further digits
	chunkPadding                   // spaces between size and CRLF
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerLine
	trailerLF
	chunkedLF   // the LF that ends the body
	chunkedDone // the body has ended
)

var (
	errChunkSize = malformed("bad chunk size")
	errChunkEnd  = malformed("chunk not ended by CRLF")
	errChunkLine = malformed("chunk line too long or not ended by CRLF")
	errOverhead  = malformed("chunked body is nearly all framing")
	errTrailers  = malformed("trailers too long or not ended by CRLF")
)

// decode moves the data in p to its front and returns how much it is, and how
// many bytes of p belong to the body: fewer than len(p) only if it ended.
// Bytes before an error are good.
func (c *chunked) decode(p []byte) (n, used int, err error) {
	for used < len(p) && c.state != chunkedDone {
		if c.state == chunkData {
			k := int(min(c.left, uint64(len(p)-used)))
			if n != used {
				copy(p[n:], p[used:used+k])
			}
			n, used = n+k, used+k
			c.overhead = max(0, c.overhead-2*k)
			if c.left -= uint64(k); c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		if err := c.frame(p[used]); err != nil {
			return n, used, err
		}
		used++
	}
	return n, used, nil
}

// done reports whether the body, trailers and all, has ended.
func (c *chunked) done() bool { return c.state == chunkedDone }

// frame takes one byte that is not data.
func (c *chunked) frame(b byte) error {
	if c.state >= trailerStart {
		return c.trailer(b)
	}
	if c.line++; c.line > chunkLineMax {
		return errChunkLine
	}
	switch c.state {
	case chunkSize, chunkDigits, chunkPadding:
		return c.size(b)
	case chunkExtension:
		if b == '\r' {
			c.state = chunkSizeLF
		} else if b == '\n' {
			return errChunkLine
		}
	case chunkSizeLF:
		return c.sizeEnd(b)
	case chunkDataCR:
		if b != '\r' {
			return errChunkEnd
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return errChunkEnd
		}
		c.state = chunkSize
		c.left, c.digits, c.line = 0, 0, 0
	}
	return nil
}

// size takes a byte of a chunk's size, or the one that ends it.
func (c *chunked) size(b byte) error {
	digit, ok := hexDigit(b)
	switch {
	case ok && c.state != chunkPadding:
		if c.digits++; c.digits > 16 {
			return errChunkSize
		}
		c.left = c.left<<4 | uint64(digit)
		c.state = chunkDigits
	case c.state == chunkSize:
		return errChunkSize
	case b == '\r':
		c.state = chunkSizeLF
	case b == ' ' || b == '\t': // old servers write sizes of a fixed width
		c.state = chunkPadding
	case b == ';' && c.state == chunkDigits:
		c.state = chunkExtension
	default:
		return errChunkSize
	}
	return nil
}

// sizeEnd takes the LF of a size's line.
func (c *chunked) sizeEnd(b byte) error {
	if b != '\n' {
		return errChunkLine
	}
	c.overhead = max(0, c.overhead+c.line-16)
	if c.overhead > overheadMax {
		return errOverhead
	}
	c.state = chunkData
	if c.left == 0 {
		c.state, c.line = trailerStart, 0
	}
	return nil
}

// trailer takes a byte after the last chunk.
func (c *chunked) trailer(b byte) error {
	if c.line++; c.line > trailersMax {
		return errTrailers
	}
	switch {
	case c.state == trailerStart && b == '\r':
		c.state = chunkedLF
	case c.state == trailerLine && b == '\r':
		c.state = trailerLF
	case c.state == trailerLF && b == '\n':
		c.state = trailerStart
	case c.state == chunkedLF && b == '\n':
		c.state = chunkedDone
	case b == '\n' || c.state == trailerLF || c.state == chunkedLF:
		return errTrailers
	default:
		c.state = trailerLine
	}
	return nil
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
