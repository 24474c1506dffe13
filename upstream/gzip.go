package upstream

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var errGzip = malformed("bad gzip data")

// gunzip decompresses the answer of a provider that was asked for identity and
// sent gzip. How much may come out is the reader's to bound.
type gunzip struct {
	gzip    gzip.Reader
	from    bodyReader
	started bool
}

// bodyReader is an attempt's body as it came.
type bodyReader struct{ a *Attempt }

func (r bodyReader) Read(p []byte) (int, error) { return r.a.readBody(p) }

var gunzips = sync.Pool{New: func() any { return new(gunzip) }}

func acquireGunzip() *gunzip { return gunzips.Get().(*gunzip) }

// release gives z back to the pool.
func (z *gunzip) release() {
	z.started, z.from.a = false, nil
	gunzips.Put(z)
}

// read reads decompressed bytes: what the provider flushed comes out at once.
func (z *gunzip) read(a *Attempt, p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	if !z.started {
		z.started, z.from.a = true, a
		if err := z.gzip.Reset(&z.from); err != nil {
			return 0, z.fail(a, err)
		}
	}
	n, err := z.gzip.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if err == io.EOF {
		return 0, io.EOF
	}
	return 0, z.fail(a, err)
}

// fail tells an error of the connection from one of the compression.
func (z *gunzip) fail(a *Attempt, err error) error {
	switch {
	case a.err != nil:
		return a.err
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return a.stop(ErrShortBody)
	default:
		return a.stop(errGzip)
	}
}

// gzipped reports whether a Content-Encoding is gzip alone.
func gzipped(coding []byte) bool {
	return EqualFold(coding, "gzip") || EqualFold(coding, "x-gzip")
}
